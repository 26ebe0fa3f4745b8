/** A value that components follow. */
import { useEffect, useState } from "preact/hooks"

export interface Value<A> {
  readonly get: () => A
  /** Calls the listener after each change. Returns how to stop. */
  readonly listen: (listener: () => void) => () => void
}

export interface Settable<A> extends Value<A> {
  readonly set: (value: A) => void
}

export const makeValue = <A>(initial: A): Settable<A> => {
  const listeners = new Set<() => void>()
  let value = initial
  return {
    get: () => value,
    set: (next) => {
      value = next
      for (const listener of listeners) listener()
    },
    listen: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    }
  }
}

/** The present value, in a component that is drawn again after each change. */
export const useValue = <A>({ get, listen }: Value<A>): A => {
  const [value, setValue] = useState(get)
  useEffect(() => {
    setValue(get())
    return listen(() => setValue(get()))
  }, [get, listen])
  return value
}
