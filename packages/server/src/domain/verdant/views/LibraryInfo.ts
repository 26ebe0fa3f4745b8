/** A library's Verdant data in numbers, and the progress of its replicas. */
import type { DecisionContext } from "../Context.ts"
import { isTruant, receivedBy } from "../Progress.ts"
import type { LibraryState, Replica } from "../State.ts"
import { heldBy } from "../Watermark.ts"

export interface ReplicaInfo {
  readonly id: string
  readonly userId: string
  /** Verdant's number. */
  readonly type: number
  /** It will never send an older operation again; null: not known. */
  readonly promise: string | null
  /** It has everything up to this version; null: nothing yet. */
  readonly received: number | null
  /** When it was last heard of, milliseconds since 1970. A server records that only now and then. */
  readonly seen: number
  readonly truant: boolean
}

export interface VerdantInfo {
  readonly version: number
  readonly generation: number
  readonly replicas: ReadonlyArray<ReplicaInfo>
  /** Number of operations that are not compacted yet. */
  readonly operations: number
  readonly baselines: number
  /** The watermark: operations older than this may be compacted; null: not known yet. */
  readonly watermark: string | null
  /** The id of the replica that holds the watermark down, because no other promised less; null: no replica does. */
  readonly heldBy: string | null
  readonly files: ReadonlyArray<{
    readonly id: string
    readonly name: string
    readonly size: number
    readonly orphaned: boolean
  }>
}

/** undefined: there is no data, or it was evicted and no client has come back. */
export const libraryInfo = (state: LibraryState, context: DecisionContext): VerdantInfo | undefined => {
  const { baselines, generation, operations, version, watermark } = state
  if (state.replicas.size === 0 && operations + baselines === 0) return undefined
  return {
    ...{ version, generation, operations, baselines, watermark },
    heldBy: heldBy(state, context)?.id ?? null,
    replicas: Array.from(state.replicas.values(), (replica) => infoOf(state, replica, context)),
    files: Array.from(state.files.values(), ({ fileId, name, orphanedAt, size }) => ({
      ...{ id: fileId, name, size },
      orphaned: orphanedAt !== null
    }))
  }
}

const infoOf = (state: LibraryState, replica: Replica, context: DecisionContext): ReplicaInfo => {
  const { id, promise, seen, type, userId } = replica
  const received = receivedBy(state, replica, context.known.get(id))
  return { ...{ id, userId, type, promise, received, seen }, truant: isTruant(replica, context) }
}
