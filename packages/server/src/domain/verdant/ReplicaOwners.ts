/**
 * The owners of replicas. A replica belongs to the user who made it, also after the library was evicted or forgot it:
 * another user who syncs under its id would lock its owner out.
 */
import type { LibraryEvent, ReplicaId } from "./Events.ts"
import { type FormerBounds, type FormerOwners, withFormer } from "./FormerOwners.ts"

export type FormerReplicas = FormerOwners<ReplicaId>

interface Replicas {
  readonly replicas: ReadonlyMap<ReplicaId, { readonly id: ReplicaId; readonly userId: string; readonly seen: number }>
  readonly formerReplicas: FormerReplicas
}

/** Some 500 KB in the event of an eviction. */
const BOUNDS: FormerBounds = { ofUser: 100, ofAll: 10_000 }

/** The user to whom a replica belongs; undefined: no replica has had its id, or that was forgotten. */
export const ownerOfReplica = ({ formerReplicas, replicas }: Replicas, replicaId: ReplicaId): string | undefined =>
  replicas.get(replicaId)?.userId ?? formerReplicas.get(replicaId)

/** Remembers replicas that leave, in this order. */
export const withFormerReplicas = (
  before: FormerReplicas,
  leaving: Iterable<readonly [ReplicaId, string]>
): FormerReplicas => withFormer(before, leaving, BOUNDS)

/** The former replicas once the library is evicted. Of its replicas, the one heard of longest ago counts as gone first. */
export const formerAfterEviction = ({ formerReplicas, replicas }: Replicas): FormerReplicas =>
  withFormerReplicas(
    formerReplicas,
    Array.from(replicas.values())
      .sort((a, b) => a.seen - b.seen)
      .map(({ id, userId }) => [id, userId])
  )

/** The same by events without their payloads: for the eviction of a library that cannot be read. */
export const formerByEvents = (before: FormerReplicas, events: Iterable<LibraryEvent>): FormerReplicas => {
  const users = new Map<ReplicaId, string>()
  for (const event of events) {
    if (event._tag === "ReplicaJoined" || event._tag === "OperationsStored") {
      users.delete(event.replicaId)
      users.set(event.replicaId, event.userId)
    } else if (event._tag === "Evicted") for (const [id, userId] of event.replicas ?? []) users.set(id, userId)
  }
  return withFormerReplicas(before, users)
}
