/** What a client gets of a document: all of it, or what it misses of what it says it knows. */
import { Effect } from "effect"
import type { PublicKey, SnapshotId } from "../../domain/Ids.ts"
import type { StreamKey } from "../../domain/Stream.ts"
import * as Secsync from "../../domain/secsync/index.ts"
import { EventLog, type PlacedEvent } from "../../ports/EventLog.ts"
import type { Tail } from "../../rooms/TailCache.ts"
import type { Frame } from "../Frame.ts"
import { contentFrame, type DocumentContent } from "./Wire.ts"

/** A tail, read as a document. */
export interface Document {
  readonly snapshot: Snapshot | undefined
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

/** What a client says it has. */
export interface Known {
  readonly snapshotId: SnapshotId | undefined
  readonly clocks: ReadonlyMap<PublicKey, number>
}

export const nothingKnown: Known = { snapshotId: undefined, clocks: new Map() }

const documents = new WeakMap<Tail, Document>()
const completeFrames = new WeakMap<Tail, Frame>()

/** Once per tail, however many ask. */
export const documentOf = (tail: Tail): Document => once(documents, tail, readDocument)

/** The whole document as the first frame of a connection; built once per tail. */
export const completeFrame = (tail: Tail): Frame =>
  once(completeFrames, tail, (tail) => contentFrame("document", complete(documentOf(tail))))

/** Whether a client has the snapshot already, and is sent what it misses of the updates. */
export const isSentUpdatesAlone = (
  active: SnapshotId,
  request: { mode: "complete" | "delta"; known: Known }
): boolean => request.mode === "delta" && request.known.snapshotId === active

/** What a connection that knows something is sent first. */
export const loadContent = Effect.fnUntraced(function* (
  key: StreamKey,
  document: Document,
  mode: "complete" | "delta",
  known: Known
) {
  if (document.snapshot === undefined) return complete(document)
  const { snapshotId } = document.snapshot
  if (isSentUpdatesAlone(snapshotId, { mode, known })) return missed(document, known.clocks)
  if (known.snapshotId === snapshotId) return complete(document)
  return { ...complete(document), proofChain: yield* chainBetween(key, known.snapshotId, snapshotId) }
})

/**
 * What the author of a refused snapshot misses: the active snapshot with its lineage, or only some updates.
 *
 * `told`: the last snapshot that the author was told of. The client checks the lineage from there, when that came after
 * the parent that it had when it made its own.
 */
export const refusedContent = Effect.fnUntraced(function* (
  key: StreamKey,
  document: Document,
  parent: SnapshotId | "",
  clocks: ReadonlyMap<PublicKey, number>,
  told: SnapshotId | undefined
) {
  if (document.snapshot?.snapshotId === parent) return missed(document, clocks)
  const chain = yield* chainBetween(key, parent === "" ? undefined : parent, document.snapshot?.snapshotId)
  const since = chain.findIndex(({ snapshotId }) => snapshotId === told)
  return { ...complete(document), proofChain: chain.slice(since + 1) }
})

const complete = (document: Document): DocumentContent => ({
  snapshot: document.snapshot?.payload,
  updates: document.updates.map(({ payload }) => payload)
})

/** Author by author: an author's older updates may be missing where another's newer ones are known. */
const missed = (document: Document, clocks: ReadonlyMap<PublicKey, number>): DocumentContent => ({
  updates: document.updates
    .filter(({ pubKey, clock }) => clock > (clocks.get(pubKey) ?? -1))
    .map(({ payload }) => payload)
})

/** What the client has once its document has arrived: the active snapshot, or the evicted one if it had all of it. */
export const heldAfterLoading = (tail: Tail, known: Known): SnapshotId | undefined => {
  const { snapshot } = documentOf(tail)
  if (snapshot !== undefined) return snapshot.snapshotId
  const evicted = evictedOf(tail)
  return evicted !== undefined &&
    evicted.snapshot.snapshotId === known.snapshotId &&
    Secsync.covers(known.clocks, evicted.clocks)
    ? known.snapshotId
    : undefined
}

/** What an eviction left, when the document is evicted. */
export const evictedOf = (tail: Tail): Secsync.Evicted | undefined => {
  // A tail begins with the newest snapshot or eviction.
  const [first] = tail.events
  const event = first === undefined ? undefined : Secsync.fromStreamEvent(first.event)
  return event?._tag === "Evicted" ? event : undefined
}

/** The lineage of `active` from what is known. A newer snapshot may have been stored since the document was read. */
const chainBetween = Effect.fnUntraced(function* (
  key: StreamKey,
  known: SnapshotId | undefined,
  active: SnapshotId | undefined
) {
  if (known === undefined) return []
  const ancestors = Secsync.ancestorsOf((yield* (yield* EventLog).readKeyed(key, known)) ?? [])
  const end = ancestors.findIndex(({ snapshotId }) => snapshotId === active)
  return Secsync.proofChain(known, ancestors.slice(0, end + 1))
})

const readDocument = (tail: Tail): Document => {
  let snapshot: Document["snapshot"]
  const updates: Array<Update> = []
  for (const placed of tail.events) {
    // A newer tail shares most of its events with the one before.
    const part = once(parts, placed, readPart)
    if (part === undefined) continue
    if ("snapshotId" in part) snapshot = part
    else updates.push(part)
  }
  return { snapshot, updates }
}

const parts = new WeakMap<PlacedEvent, Snapshot | Update | undefined>()

const readPart = (placed: PlacedEvent): Snapshot | Update | undefined => {
  const event = Secsync.fromStreamEvent(placed.event)
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
  if (payload === null) throw new Error(`The payload of version ${event.version} is missing, though nothing purged it`)
  return payload
}

const once = <K extends object, V>(memo: WeakMap<K, V>, key: K, make: (key: K) => V): V => {
  const found = memo.get(key)
  if (found !== undefined) return found
  const made = make(key)
  memo.set(key, made)
  return made
}
