/** Translates a document's events for an app: what the server sees of them. The sealed messages are not part of it. */
import type { DocumentId, LibraryId, PublicKey, SnapshotId } from "../../Ids.ts"
import { ALLOWED_AGAIN, DELETED, EVICTED, type StreamEvent, type StreamKey } from "../../Stream.ts"
import { fromStreamEvent } from "../Events.ts"

interface Placed {
  readonly libraryId: LibraryId
  readonly documentId: DocumentId
  /** The version of the event in the document's stream; greater is later. Some versions carry no change. */
  readonly version: number
  /** Milliseconds since 1970, by the clock of the server that stored the event. */
  readonly recordedAt: number
}

/** An author stored a snapshot, which replaces everything before it. */
export interface SnapshotStored extends Placed {
  readonly _tag: "SnapshotStored"
  readonly snapshotId: SnapshotId
  /** "": it is the document's first. */
  readonly parentSnapshotId: SnapshotId | ""
  /** The author's signing key. */
  readonly pubKey: PublicKey
  /** Size of the sealed message; absent in events of before 29 November 2026. */
  readonly payloadBytes?: number
}

/** An author stored an update. */
export interface UpdateStored extends Placed {
  readonly _tag: "UpdateStored"
  /** The snapshot that it builds on. */
  readonly snapshotId: SnapshotId
  /** Its number among the author's updates on this snapshot, from 0. */
  readonly clock: number
  readonly pubKey: PublicKey
  readonly payloadBytes?: number
}

/**
 * `DocumentCreated`: the document exists, and is empty. `Evicted`: its data is gone from the server, and a client that has it
 * brings it back. `Deleted`: it was deleted for good. `AllowedAgain`: it can be made again.
 */
export interface Administered extends Placed {
  readonly _tag: "DocumentCreated" | "Evicted" | "Deleted" | "AllowedAgain"
}

export type DocumentChange = SnapshotStored | UpdateStored | Administered

/** The change that an event made; undefined for a pruning. Throws when the event cannot be decoded. */
export const documentChangeOf = (
  { libraryId, streamId }: StreamKey,
  event: StreamEvent
): DocumentChange | undefined => {
  const { recordedAt, version } = event
  const placed = { libraryId, documentId: streamId as DocumentId, version, recordedAt }
  const decoded = fromStreamEvent(event)
  switch (decoded._tag) {
    case "SnapshotStored": {
      const { parentSnapshotId, pubKey, snapshotId } = decoded
      return { _tag: "SnapshotStored", ...placed, snapshotId, parentSnapshotId, pubKey, ...sizeOf(decoded) }
    }
    case "UpdateStored": {
      const { clock, pubKey, refSnapshotId: snapshotId } = decoded
      return { _tag: "UpdateStored", ...placed, snapshotId, clock, pubKey, ...sizeOf(decoded) }
    }
    case "DocumentCreated":
    case EVICTED:
    case DELETED:
    case ALLOWED_AGAIN:
      return { _tag: decoded._tag, ...placed }
    default:
      return undefined
  }
}

const sizeOf = ({ payloadBytes }: { readonly payloadBytes?: number }) =>
  payloadBytes === undefined ? {} : { payloadBytes }
