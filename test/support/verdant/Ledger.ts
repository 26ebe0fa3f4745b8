/** What clients wrote for good: it has to be in the library for ever, unless it was lost in a way that clients are told of. */
import type { Network } from "./Network.ts"
import type { Person } from "./Person.ts"

interface Entry {
  readonly text: string
  readonly person: Person
  /** How often the device had been reset by then. */
  readonly resets: number
  readonly network: Network
}

export interface Ledger {
  /** Something that its text alone tells from all else. To be called once the client has it. */
  readonly note: (text: string, person: Person, before: { readonly resets: number; readonly network: Network }) => void
  /** The library was evicted: what was acknowledged before is there again only if somebody still has it. */
  readonly evicted: () => void
  /** What should be there and is not. Of what is there all is asked for from now on. */
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

/** What a client sent and knows to be stored, as JSON. */
const acknowledged = ({ received, sent }: Network): ReadonlyArray<string> => {
  const stored = new Set(
    received.flatMap((message) => {
      if (message.type === "server-ack") return [message["timestamp"]]
      return message.type === "sync-resp" && message["overwriteLocalData"] !== true ? [message["ackedTimestamp"]] : []
    })
  )
  return sent.flatMap((message) => (stored.has(message["timestamp"]) ? [JSON.stringify(message)] : []))
}
