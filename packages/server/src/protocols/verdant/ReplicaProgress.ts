/**
 * How far this process's replicas are, beyond what the log says: the one owner of that knowledge. It may be lost; replicas
 * then count as less far, so something is compacted later or sent again.
 */
import type { KnownReplica, Offer } from "../../domain/verdant/Context.ts"
import type { ReplicaId } from "../../domain/verdant/Events.ts"
import { isTimely } from "../../domain/verdant/model/Timestamp.ts"
import { receivedBy } from "../../domain/verdant/Progress.ts"
import type { LibraryState, Replica } from "../../domain/verdant/State.ts"

interface Live extends KnownReplica {
  /** Promised in this interval, and in the one before. */
  readonly recentPromise: string | undefined
  readonly unripePromise: string | undefined
  /** When it was last sent content, milliseconds since 1970. */
  readonly offeredAt: number | undefined
}

const nothing: Live = {
  ...{ received: undefined, seen: undefined, promise: undefined, offer: undefined, isUnanswered: false },
  ...{ recentPromise: undefined, unripePromise: undefined, offeredAt: undefined, asked: undefined }
}

/** Replicas of one library that are remembered; the one heard of longest ago is forgotten first. */
const MAX_REPLICAS = 10_000

export class ReplicaProgress {
  private replicas = new Map<ReplicaId, Live>()
  /** A decision's context holds the map, so the next change goes to a copy. */
  private isShared = false
  private evicted: ReadonlyMap<ReplicaId, number> = new Map()
  private changed = false
  private readonly listeners = new Set<() => void>()

  /** An immutable map of what this process knows now. */
  snapshot(): ReadonlyMap<ReplicaId, KnownReplica> {
    this.isShared = true
    return this.replicas
  }

  /** When a replica was last sent content of the library that was evicted since; it does not change. */
  evictedContent(): ReadonlyMap<ReplicaId, number> {
    return this.evicted
  }

  /** The version up to which a replica has everything; null: not even its last reset is known to have arrived. */
  receivedBy(state: LibraryState, replica: Replica): number | null {
    return receivedBy(state, replica, this.replicas.get(replica.id))
  }

  /** The timestamp before which a replica has sent everything; null: it has promised nothing that counts. */
  promisedBy({ id, promise }: Replica): string | null {
    return this.replicas.get(id)?.promise ?? promise
  }

  /** Whether anything has become known since the last call. */
  takeChanged(): boolean {
    const { changed } = this
    this.changed = false
    return changed
  }

  /**
   * Called at intervals longer than a client gathers its user's changes before it sends them. Until then it may still send
   * operations that are older than its promise.
   */
  ripen(): void {
    for (const [id, live] of this.replicas) {
      const { offer, promise, recentPromise, unripePromise } = live
      if (recentPromise === undefined && unripePromise === undefined && !offer?.ripensIn) continue
      if (unripePromise !== undefined || offer?.ripensIn) this.changed = true
      this.writable().set(id, {
        ...live,
        ...(offer?.ripensIn && { offer: { ...offer, ripensIn: offer.ripensIn - 1 } }),
        promise: unripePromise ?? promise,
        unripePromise: recentPromise,
        recentPromise: undefined
      })
    }
    for (const listener of this.listeners) listener()
  }

  /** Calls a listener each time that promises have ripened. Returns a function that ends this. */
  onRipened(listener: () => void): () => void {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  /** Whether something cannot be relied on yet, and will be without another message. */
  hasUnripe(): boolean {
    for (const { offer, recentPromise, unripePromise } of this.replicas.values()) {
      if (recentPromise !== undefined || unripePromise !== undefined || offer?.ripensIn) return true
    }
    return false
  }

  hear(replicaId: ReplicaId, now: number): void {
    this.update(replicaId, { seen: now })
    this.changed = true
  }

  /** The replica will never send anything older. A promise of a clock that is far ahead does not count. */
  promise(replicaId: ReplicaId, timestamp: string, now: number): void {
    if (!isTimely(timestamp, now)) return
    const { recentPromise } = this.replicas.get(replicaId) ?? nothing
    if (recentPromise === undefined || recentPromise < timestamp) this.update(replicaId, { recentPromise: timestamp })
    this.changed = true
  }

  /**
   * The connection that sent the offer as of `asOf` has closed. Recent promises are void, and the replica's next sync
   * tells whether it stored the offer.
   */
  leave(replicaId: ReplicaId, asOf: string | undefined): void {
    const live = this.replicas.get(replicaId)
    if (live === undefined) return
    const { offer } = live
    this.writable().set(replicaId, {
      ...live,
      ...(offer?.asOf === asOf && offer?.ripensIn && { offer: { ...offer, ripensIn: undefined } }),
      recentPromise: undefined,
      unripePromise: undefined
    })
  }

  /** The replica has everything up to a version. */
  receive(state: LibraryState, replica: Replica, version: number): void {
    const before = this.receivedBy(state, replica)
    if (before !== null && before >= version) return
    this.update(replica.id, { received: version })
    this.changed = true
  }

  /** The replica syncs; returns the client's time of the sync before, undefined: not known. */
  ask(replicaId: ReplicaId, timestamp: string, now: number): string | undefined {
    const before = this.replicas.get(replicaId)?.asked
    this.update(replicaId, { asked: { timestamp, at: now } })
    return before?.timestamp
  }

  /** The replica is sent content; its later messages tell whether that arrived. */
  offer(
    state: LibraryState,
    replica: Replica,
    { isPolling, ...offer }: Pick<Offer, "asOf" | "at" | "isReset"> & { readonly isPolling: boolean }
  ): void {
    const pending = this.replicas.get(replica.id)?.offer
    // The events since a reset are useless to a replica that lost the reset, so the reset stays the offer to confirm.
    if (pending?.isReset === true && !offer.isReset) return
    const before = offer.isReset ? null : this.receivedBy(state, replica)
    this.update(replica.id, {
      offer: { ...offer, isSettled: false, before, ripensIn: isPolling ? undefined : 2 },
      offeredAt: offer.at,
      isUnanswered: false
    })
  }

  /**
   * The replica acknowledges an answer. If another process sent it, this one takes it for its own offer: the replica's next sync
   * tells whether it has stored the answer. `before` is what this process is sure of.
   */
  recall(state: LibraryState, replica: Replica, answer: Pick<Offer, "asOf" | "at" | "isReset">): void {
    const { offer: pending, received } = this.replicas.get(replica.id) ?? nothing
    if (pending !== undefined && pending.asOf >= answer.asOf) return
    // The other process would not have sent less than everything to a replica that had not stored its reset.
    const known = pending?.isReset ? (received ?? replica.joinedAt) : pending?.before
    const before = answer.isReset ? null : (known ?? this.receivedBy(state, replica))
    this.update(replica.id, {
      offer: { ...answer, isSettled: false, before, ripensIn: undefined },
      offeredAt: answer.at,
      isUnanswered: false
    })
  }

  /** The replica was reset, and its connection was gone before the answer. */
  miss(replicaId: ReplicaId): void {
    this.update(replicaId, { isUnanswered: true })
  }

  /** The replica has put its reset in place of what it had. Whether that lasts, its next sync tells. */
  settle(replicaId: ReplicaId): void {
    const live = this.replicas.get(replicaId)
    if (live?.offer !== undefined) {
      this.writable().set(replicaId, { ...live, offer: { ...live.offer, isSettled: true } })
    }
  }

  /**
   * A sync tells whether the replica processed the last offer. If it did not, the acknowledgement of that is taken back: a
   * client acknowledges before it stores.
   */
  confirm(replicaId: ReplicaId, since: string | null): void {
    const live = this.replicas.get(replicaId)
    if (live?.offer === undefined) return
    const isProcessed = since !== null && since >= live.offer.asOf
    const received = isProcessed ? live.received : live.offer.before
    this.writable().set(replicaId, { ...live, received, offer: undefined })
  }

  forget(replicaId: ReplicaId): void {
    this.writable().delete(replicaId)
  }

  /** The library was evicted: nothing is known any more, except which clients may still be storing its content. */
  evict(): void {
    const sent = Array.from(this.replicas).flatMap(([id, { offeredAt }]) =>
      offeredAt === undefined ? [] : ([[id, offeredAt]] as const)
    )
    this.evicted = new Map(sent)
    this.replicas = new Map()
    this.isShared = false
  }

  private writable(): Map<ReplicaId, Live> {
    if (this.isShared) this.replicas = new Map(this.replicas)
    this.isShared = false
    return this.replicas
  }

  private update(replicaId: ReplicaId, change: Partial<Live>): void {
    const replicas = this.writable()
    const live = replicas.get(replicaId) ?? nothing
    replicas.delete(replicaId)
    replicas.set(replicaId, { ...live, ...change })
    if (replicas.size > MAX_REPLICAS) replicas.delete(replicas.keys().next().value!)
  }
}
