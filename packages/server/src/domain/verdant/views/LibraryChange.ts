/** What events of a library mean to an app: what its users have changed, without how the server keeps it. */
import type { LibraryId } from "../../Ids.ts"
import { EVICTED, FOLDED, type StreamEvent } from "../../Stream.ts"
import { fromStreamEvent, type ReplicaId } from "../Events.ts"
import { collectionOf, documentIdOf, rootOf } from "../model/Oid.ts"
import { decodeSent, type SentBaseline, type SentOperation } from "../model/PayloadCodec.ts"

interface Placed {
  readonly libraryId: LibraryId
  /** Of the event in the library's stream: greater is later, and each is told of once. Some versions are no change. */
  readonly version: number
  /** Milliseconds since 1970, by the clock of the server that stored it. */
  readonly recordedAt: number
}

interface Authored extends Placed {
  readonly userId: string
  readonly replicaId: ReplicaId
  /** Verdant's number: 0 realtime, 1 push, 2 and 3 passive. */
  readonly replicaType: number
}

/** What a client brought: operations, and baselines when it brought a library's history. */
export interface Changed extends Authored {
  readonly _tag: "Changed"
  /** The documents that it is about, each once; private ones are among them. */
  readonly documents: ReadonlyArray<{ readonly collection: string; readonly id: string }>
  readonly operations: ReadonlyArray<SentOperation>
  readonly baselines: ReadonlyArray<SentBaseline>
}

/** A client changed something, and what it was is no longer kept: it was folded since, or evicted. */
export interface Purged extends Authored {
  readonly _tag: "Purged"
}

/** The library came from another server, as a whole. */
export interface Imported extends Placed {
  readonly _tag: "Imported"
}

/** All of the library is gone from the server; clients that have it bring it back, the first as a `Changed`. */
export interface Evicted extends Placed {
  readonly _tag: "Evicted"
}

export type LibraryChange = Changed | Purged | Imported | Evicted

/** Whether what an event changed is in its payload. */
export const hasChange = ({ type }: StreamEvent): boolean => type === "OperationsStored"

/** Undefined when the event changed nothing for the library's users. Throws when it is none of ours. */
export const changeOf = (
  libraryId: LibraryId,
  event: StreamEvent,
  payload: Uint8Array | null
): LibraryChange | undefined => {
  const { recordedAt, type, version } = event
  const placed = { libraryId, version, recordedAt }
  if (type === EVICTED) return { _tag: "Evicted", ...placed }
  // Any other fold says again what was said before.
  if (type === FOLDED) return version === 1 ? { _tag: "Imported", ...placed } : undefined
  const decoded = fromStreamEvent(event)
  if (decoded._tag !== "OperationsStored") return undefined
  const { replicaId, type: replicaType, userId } = decoded
  const authored = { ...placed, userId, replicaId, replicaType }
  if (payload === null) return { _tag: "Purged", ...authored }
  const sent = decodeSent(payload)
  const roots = new Set([...sent.operations, ...sent.baselines].map(({ oid }) => rootOf(oid)))
  const documents = Array.from(roots, (oid) => ({ collection: collectionOf(oid), id: documentIdOf(oid) }))
  return { _tag: "Changed", ...authored, documents, ...sent }
}
