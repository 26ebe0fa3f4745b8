/**
 * The owners of replicas. A replica belongs to the user who made it, also after the library was evicted or forgot it:
 * another user who syncs under its id would lock its owner out.
 */
import type { LibraryEvent, ReplicaId } from "./Events.ts"

/** The users of replicas that the library does not hold any more. The replica that left first comes first. */
export type FormerReplicas = ReadonlyMap<ReplicaId, string>

interface Replicas {
  readonly replicas: ReadonlyMap<ReplicaId, { readonly id: ReplicaId; readonly userId: string; readonly seen: number }>
  readonly formerReplicas: FormerReplicas
}

/** Former replicas of one user that are remembered. Few, so that a user with very many does not displace those of others. */
const MAX_OF_USER = 100
/** Former replicas of all users: some 500 KB in the event of an eviction. */
const MAX_OF_ALL = 10_000

/** The user to whom a replica belongs; undefined: no replica has had its id, or that was forgotten. */
export const ownerOfReplica = ({ formerReplicas, replicas }: Replicas, replicaId: ReplicaId): string | undefined =>
  replicas.get(replicaId)?.userId ?? formerReplicas.get(replicaId)

/** Remembers replicas that leave, in this order. Above the bounds, the ones that left first are forgotten. */
export const withFormer = (
  before: FormerReplicas,
  leaving: Iterable<{ readonly id: ReplicaId; readonly userId: string }>
): FormerReplicas => {
  const all = new Map(before)
  for (const { id, userId } of leaving) {
    all.delete(id)
    all.set(id, userId)
  }
  const counts = new Map<string, number>()
  const kept: Array<readonly [ReplicaId, string]> = []
  for (const [id, userId] of Array.from(all).reverse()) {
    const count = counts.get(userId) ?? 0
    if (count >= MAX_OF_USER) continue
    if (kept.length >= MAX_OF_ALL) break
    counts.set(userId, count + 1)
    kept.push([id, userId])
  }
  return new Map(kept.reverse())
}

export const withoutFormer = (former: FormerReplicas, replicaId: ReplicaId): FormerReplicas => {
  if (!former.has(replicaId)) return former
  const others = new Map(former)
  others.delete(replicaId)
  return others
}

/** The former replicas once the library is evicted. Of its replicas, the one heard of longest ago counts as gone first. */
export const formerAfterEviction = ({ formerReplicas, replicas }: Replicas): FormerReplicas =>
  withFormer(
    formerReplicas,
    Array.from(replicas.values()).sort((a, b) => a.seen - b.seen)
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
  return withFormer(
    before,
    Array.from(users, ([id, userId]) => ({ id, userId }))
  )
}
