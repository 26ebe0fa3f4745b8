/** State that components share: answers that are asked for at intervals, the address, and the news of a change. */
import { useEffect, useRef, useState } from "preact/hooks"
import { Refusal } from "./api.ts"

const REFRESH = 3000
/** The next request waits this many times as long as an answer took: an open page does not read a large log all the time. */
const PATIENCE = 20
const LONGEST = 120_000

const changes = new EventTarget()

/** Makes every view ask the server at once. */
export const announceChange = (): void => void changes.dispatchEvent(new Event("change"))

export interface Polled<Answer> {
  readonly data: Answer | undefined
  /** The last failure; undefined after a success. */
  readonly error: Refusal | undefined
}

/** Asks now, after each change, and every few seconds while the tab is visible. `key`: asks again when it changes. */
export const usePolled = <Answer>(
  key: string,
  ask: () => Promise<Answer>,
  { every = REFRESH }: { readonly every?: number } = {}
): Polled<Answer> => {
  const [state, setState] = useState<Polled<Answer> & { readonly key: string }>({
    ...{ key, data: undefined, error: undefined }
  })
  const latest = useRef(ask)
  latest.current = ask
  useEffect(() => {
    let isOver = false
    let round = 0
    let timer: ReturnType<typeof setTimeout> | undefined
    const load = async () => {
      clearTimeout(timer)
      round += 1
      const mine = round
      const start = performance.now()
      try {
        const data = document.hidden && mine > 1 ? undefined : await latest.current()
        if (isOver || mine !== round) return
        if (data !== undefined) setState({ key, data, error: undefined })
      } catch (error) {
        if (isOver || mine !== round) return
        const refusal = error instanceof Refusal ? error : new Refusal(0, String(error))
        setState((before) => ({ key, data: refusal.status === 404 ? undefined : before.data, error: refusal }))
      }
      timer = setTimeout(load, Math.max(every, Math.min(LONGEST, PATIENCE * (performance.now() - start))))
    }
    void load()
    changes.addEventListener("change", load)
    return () => {
      isOver = true
      clearTimeout(timer)
      changes.removeEventListener("change", load)
    }
  }, [key, every])
  return state.key === key ? state : { data: undefined, error: undefined }
}

/** The parts of the address after `#/`, decoded. Only names are in it, never the token. */
export const useRoute = (): ReadonlyArray<string> => {
  const read = () => location.hash.replace(/^#\/?/, "").split("/").filter(Boolean).map(decoded)
  const [route, setRoute] = useState(read)
  useEffect(() => {
    const update = () => setRoute(read())
    addEventListener("hashchange", update)
    return () => removeEventListener("hashchange", update)
  }, [])
  return route
}

/** The part as it is, if a hand wrote it that did not encode it. */
const decoded = (part: string): string => {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

export const hrefOf = (...parts: ReadonlyArray<string>): string => `#/${parts.map(encodeURIComponent).join("/")}`
