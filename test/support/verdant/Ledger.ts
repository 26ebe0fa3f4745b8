/** Records the texts that clients write, and finds those that the library lost without a reset or an eviction. */
import type { Network } from "./Network.ts"
import type { Person } from "./Person.ts"

interface Entry {
  readonly text: string
  readonly person: Person
  /** The resets of the device until then. */
  readonly resets: number
  readonly network: Network
}

export interface Ledger {
  /** Records a unique text, after the client has stored it. */
  readonly note: (text: string, person: Person, before: { readonly resets: number; readonly network: Network }) => void
  /** Records an eviction: after it, an acknowledged text may be lost if no client still has it. */
  readonly evicted: () => void
  /** The texts that are missing although they must exist. Every text that exists now must exist from now on. */
  readonly missing: (texts: ReadonlySet<string>) => ReadonlyArray<string>
  readonly size: () => number
}

export const makeLedger = (): Ledger => {
  let kept: ReadonlySet<string> = new Set()
  let entries: Array<Entry> = []
  let wasEvicted = false
  return {
    note: (text, person, { network, resets }) => void entries.push({ text, person, resets, network }),
    evicted: () => {
      wasEvicted = true
    },
    missing: (texts) => {
      const isDue = ({ text, network, person, resets }: Entry) =>
        person.resets() === resets || (!wasEvicted && acknowledged(network).some((message) => message.includes(text)))
      const due = [
        ...kept,
        ...entries.filter((entry) => !texts.has(entry.text) && isDue(entry)).map(({ text }) => text)
      ]
      entries = []
      wasEvicted = false
      kept = texts
      return due.filter((text) => !texts.has(text))
    },
    size: () => kept.size
  }
}

/** The acknowledged messages of a client, as JSON. */
const acknowledged = ({ received, sent }: Network): ReadonlyArray<string> => {
  const stored = new Set(
    received.flatMap((message) => {
      if (message.type === "server-ack") return [message["timestamp"]]
      return message.type === "sync-resp" && message["overwriteLocalData"] !== true ? [message["ackedTimestamp"]] : []
    })
  )
  return sent.flatMap((message) => (stored.has(message["timestamp"]) ? [JSON.stringify(message)] : []))
}
