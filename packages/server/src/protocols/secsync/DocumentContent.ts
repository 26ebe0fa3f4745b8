/** Which part of a document a client is sent: everything, or what it lacks of the state that it names. */
import { Effect } from "effect"
import type { PublicKey, SnapshotId } from "../../domain/Ids.ts"
import type { StreamKey } from "../../domain/Stream.ts"
import * as Secsync from "../../domain/secsync/index.ts"
import type { EventLog, StorageUnavailable } from "../../ports/EventLog.ts"
import type { Tail } from "../../rooms/TailCache.ts"
import { type Document, documentOf, evictedOf } from "./Document.ts"
import { snapshotsAfter } from "./snapshotsAfter.ts"
import { contentFrame, type DocumentContent, type SnapshotMessage, snapshotSaveFailed } from "./Wire.ts"

/** The state that a client says it has: a snapshot, and the last update of each author that it applied to it. */
export interface Known {
  readonly snapshotId: SnapshotId | undefined
  readonly clocks: ReadonlyMap<PublicKey, number>
}

export const nothingKnown: Known = { snapshotId: undefined, clocks: new Map() }

/** How a client asks for the document. */
export interface LoadRequest {
  /** `complete`: always with the active snapshot; `delta`: without it, if the client has it. */
  readonly mode: "complete" | "delta"
  readonly known: Known
}

export type RefusedSnapshot = Pick<SnapshotMessage, "parentSnapshotId" | "parentSnapshotUpdateClocks">

// ---- frames

/** One frame, to be sent piece by piece. */
export type FrameInPieces = ReadonlyArray<Uint8Array>

/** The `document` message for a client. */
export const documentFrame = (
  log: EventLog["Service"],
  key: StreamKey,
  tail: Tail,
  request: LoadRequest
): Effect.Effect<FrameInPieces, StorageUnavailable> =>
  request.known.snapshotId === undefined
    ? Effect.sync(() => completeFrame(tail))
    : Effect.map(loadContent(log, key, documentOf(tail), request), (content) => contentFrame("document", content))

/**
 * The `snapshot-save-failed` message for a refused snapshot. If its parent is the active snapshot, its author lacks updates
 * and gets only those. Otherwise the author gets the whole document, with the proof chain from the parent, if it has one.
 *
 * @param lastSeen the last snapshot that the client was sent. A client checks the chain against that one: if a newer
 *   snapshot than the parent reached it, a chain from the parent would end its connection (error 115).
 */
export const refusedSnapshotFrame = (
  log: EventLog["Service"],
  key: StreamKey,
  tail: Tail,
  refused: RefusedSnapshot,
  lastSeen: SnapshotId | undefined
): Effect.Effect<FrameInPieces, StorageUnavailable> => {
  const document = documentOf(tail)
  if (document.snapshot === undefined) return Effect.succeed([snapshotSaveFailed])
  return Effect.map(refusedContent(log, key, document, refused, lastSeen), (content) =>
    contentFrame("snapshot-save-failed", content)
  )
}

/** The whole document as a `document` message; made once per tail, for all clients. */
const completeFrame = (tail: Tail): FrameInPieces => {
  const frame = completeFrames.get(tail) ?? contentFrame("document", complete(documentOf(tail)))
  completeFrames.set(tail, frame)
  return frame
}

const completeFrames = new WeakMap<Tail, FrameInPieces>()

/** A `document` message without content, for a client that keeps what it has. */
export const emptyDocumentFrame: FrameInPieces = contentFrame("document", { updates: [] })

// ---- content

/** Whether a client is sent updates without the snapshot, because it has the snapshot. */
export const isSentUpdatesAlone = (active: SnapshotId, { mode, known }: LoadRequest): boolean =>
  mode === "delta" && known.snapshotId === active

const loadContent = Effect.fnUntraced(function* (
  log: EventLog["Service"],
  key: StreamKey,
  document: Document,
  request: LoadRequest
) {
  if (document.snapshot === undefined) return complete(document)
  const { snapshotId } = document.snapshot
  const { known } = request
  if (isSentUpdatesAlone(snapshotId, request)) return missed(document, known.clocks)
  if (known.snapshotId === snapshotId) return complete(document)
  return { ...complete(document), proofChain: yield* chainBetween(log, key, known.snapshotId, snapshotId) }
})

const refusedContent = Effect.fnUntraced(function* (
  log: EventLog["Service"],
  key: StreamKey,
  document: Document,
  { parentSnapshotId: parent, parentSnapshotUpdateClocks }: RefusedSnapshot,
  lastSeen: SnapshotId | undefined
) {
  if (document.snapshot?.snapshotId === parent) return missed(document, parentSnapshotUpdateClocks)
  // A client whose snapshot was to be the document's first may have been sent another's first one since.
  const known = parent === "" ? lastSeen : parent
  const chain = yield* chainBetween(log, key, known, document.snapshot?.snapshotId)
  const seen = chain.findIndex(({ snapshotId }) => snapshotId === lastSeen)
  return { ...complete(document), proofChain: chain.slice(seen + 1) }
})

const complete = (document: Document): DocumentContent => ({
  snapshot: document.snapshot?.payload,
  updates: document.updates.map(({ payload }) => payload)
})

/** The updates that the clocks do not cover. Clocks are compared per author: updates of several authors interleave. */
const missed = (document: Document, clocks: ReadonlyMap<PublicKey, number>): DocumentContent => ({
  updates: document.updates
    .filter(({ pubKey, clock }) => clock > (clocks.get(pubKey) ?? -1))
    .map(({ payload }) => payload)
})

/**
 * The proofs of the snapshots after `known`, up to `active`; empty when nothing is known. The log may already hold newer
 * snapshots than the document that `active` comes from: those are left out.
 */
const chainBetween = Effect.fnUntraced(function* (
  log: EventLog["Service"],
  key: StreamKey,
  known: SnapshotId | undefined,
  active: SnapshotId | undefined
) {
  if (known === undefined) return []
  const ancestors = Secsync.ancestorsOf((yield* snapshotsAfter(log, key, known)) ?? [])
  const end = ancestors.findIndex(({ snapshotId }) => snapshotId === active)
  return Secsync.proofChain(known, ancestors.slice(0, end + 1))
})

/**
 * The snapshot whose complete state a client has once it has taken a document: the active one. After an eviction it is the
 * evicted one, if the client already had that with all its updates.
 */
export const completeAfterLoading = (tail: Tail, known: Known): SnapshotId | undefined => {
  const { snapshot } = documentOf(tail)
  if (snapshot !== undefined) return snapshot.snapshotId
  const evicted = evictedOf(tail)
  return evicted !== undefined &&
    evicted.snapshot.snapshotId === known.snapshotId &&
    Secsync.covers(known.clocks, evicted.clocks)
    ? known.snapshotId
    : undefined
}
