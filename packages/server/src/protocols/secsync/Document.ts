/** A stream's tail, read as a Secsync document: the active snapshot and its updates, or an eviction. */
import type { PublicKey, SnapshotId } from "../../domain/Ids.ts"
import { type Evicted, fromStreamEvent } from "../../domain/secsync/Events.ts"
import type { PlacedEvent } from "../../ports/EventLog.ts"
import type { Tail } from "../../rooms/TailCache.ts"

export interface Document {
  /** undefined: the document is new or evicted. */
  readonly snapshot: Snapshot | undefined
  /** In the order in which they were stored. */
  readonly updates: ReadonlyArray<Update>
}

interface Snapshot {
  readonly snapshotId: SnapshotId
  readonly payload: Uint8Array
}

interface Update {
  readonly pubKey: PublicKey
  readonly clock: number
  readonly payload: Uint8Array
}

/** Reads a tail once, for all clients that are sent it. */
export const documentOf = (tail: Tail): Document => once(documents, tail, readDocument)

/** The eviction that the document has not been restored from; undefined when there is none. */
export const evictedOf = (tail: Tail): Evicted | undefined => {
  // A tail begins with the newest snapshot or eviction.
  const [first] = tail.events
  const event = first === undefined ? undefined : fromStreamEvent(first.event)
  return event?._tag === "Evicted" ? event : undefined
}

const documents = new WeakMap<Tail, Document>()

const readDocument = (tail: Tail): Document => {
  let snapshot: Document["snapshot"]
  const updates: Array<Update> = []
  for (const placed of tail.events) {
    // A newer tail shares most of its events with the one before: each event is read once.
    const part = once(parts, placed, readPart)
    if (part === undefined) continue
    if ("snapshotId" in part) snapshot = part
    else updates.push(part)
  }
  return { snapshot, updates }
}

const parts = new WeakMap<PlacedEvent, Snapshot | Update | undefined>()

const readPart = (placed: PlacedEvent): Snapshot | Update | undefined => {
  const event = fromStreamEvent(placed.event)
  switch (event._tag) {
    case "SnapshotStored":
      return { snapshotId: event.snapshotId, payload: payloadOf(placed) }
    case "UpdateStored":
      return { pubKey: event.pubKey, clock: event.clock, payload: payloadOf(placed) }
    default:
      return undefined
  }
}

const payloadOf = ({ event, payload }: PlacedEvent): Uint8Array => {
  if (payload === null) throw new Error(`The payload of version ${event.version} is missing, though it was not purged`)
  return payload
}

const once = <K extends object, V>(memo: WeakMap<K, V>, key: K, make: (key: K) => V): V => {
  const found = memo.get(key)
  if (found !== undefined) return found
  const made = make(key)
  memo.set(key, made)
  return made
}
