/** Translates a library's events for an app: the changes that users made, without the server's own bookkeeping. */
import type { LibraryId } from "../../Ids.ts"
import { DELETED, EVICTED, FOLDED, type StreamEvent } from "../../Stream.ts"
import { fromStreamEvent, type ReplicaId } from "../Events.ts"
import { collectionOf, documentIdOf, rootOf } from "../model/Oid.ts"
import { decodeSent, type SentBaseline, type SentOperation } from "../model/PayloadCodec.ts"

interface Placed {
  readonly libraryId: LibraryId
  /** The version of the event in the library's stream; greater is later. Some versions carry no change. */
  readonly version: number
  /** Milliseconds since 1970, by the clock of the server that stored the event. */
  readonly recordedAt: number
}

interface Authored extends Placed {
  readonly userId: string
  readonly replicaId: ReplicaId
  /** Verdant's replica type: 0 realtime, 1 push, 2 and 3 passive. */
  readonly replicaType: number
  /** The claim `role` of the user's token; absent: it had none. */
  readonly role?: string
}

/** A client sent operations, and also baselines if it restored the library. */
export interface Changed extends Authored {
  readonly _tag: "Changed"
  /** The changed documents, each once; private documents are included. */
  readonly documents: ReadonlyArray<{ readonly collection: string; readonly id: string }>
  readonly operations: ReadonlyArray<SentOperation>
  readonly baselines: ReadonlyArray<SentBaseline>
}

/** A client changed something, but the payload was purged since, by a compaction or an eviction. */
export interface Purged extends Authored {
  readonly _tag: "Purged"
}

/** The whole library was imported from another server. */
export interface Imported extends Placed {
  readonly _tag: "Imported"
}

/** The library was evicted. A client that has it restores it, which gives a `Changed`. */
export interface Evicted extends Placed {
  readonly _tag: "Evicted"
}

/** The library was deleted for good. */
export interface Deleted extends Placed {
  readonly _tag: "Deleted"
}

export type LibraryChange = Changed | Purged | Imported | Evicted | Deleted

/** Whether the change is in the event's payload. */
export const hasChange = ({ type }: StreamEvent): boolean => type === "OperationsStored"

/**
 * The change that an event made; undefined when it changed nothing for the library's users. Throws when the event or its
 * payload cannot be decoded.
 */
export const changeOf = (
  libraryId: LibraryId,
  event: StreamEvent,
  payload: Uint8Array | null
): LibraryChange | undefined => {
  const { recordedAt, type, version } = event
  const placed = { libraryId, version, recordedAt }
  if (type === EVICTED) return { _tag: "Evicted", ...placed }
  if (type === DELETED) return { _tag: "Deleted", ...placed }
  // Any other compaction changes nothing for users.
  if (type === FOLDED) return version === 1 ? { _tag: "Imported", ...placed } : undefined
  const decoded = fromStreamEvent(event)
  if (decoded._tag !== "OperationsStored") return undefined
  const { replicaId, role, type: replicaType, userId } = decoded
  const authored = { ...placed, userId, replicaId, replicaType, ...(role !== undefined && { role }) }
  if (payload === null) return { _tag: "Purged", ...authored }
  const sent = decodeSent(payload)
  const roots = new Set([...sent.operations, ...sent.baselines].map(({ oid }) => rootOf(oid)))
  const documents = Array.from(roots, (oid) => ({ collection: collectionOf(oid), id: documentIdOf(oid) }))
  return { _tag: "Changed", ...authored, documents, ...sent }
}
