/**
 * How far this process's replicas are, beyond what the log says of them. It may be lost: then they are taken to be less far,
 * which only has something folded later or sent again.
 */
import type { LiveCursors } from "../../domain/verdant/Commands.ts"
import { PROCESSING_MILLIS } from "../../domain/verdant/Decide.ts"
import type { Cursor, ReplicaId } from "../../domain/verdant/Events.ts"

/** What a replica was sent, and what it had before. */
interface Offer {
  /** What its client takes for its last sync once it has processed that. */
  readonly asOf: string
  readonly before: number | null
  /** All there is, and not what it missed. */
  readonly isReset: boolean
  isSettled: boolean
  /** Milliseconds since 1970. */
  readonly at: number
  /** Intervals until it has stored it, if it stays connected; undefined: it polls, or has left, and its next sync says. */
  ripensIn: number | undefined
}

interface Live {
  received: number | null | undefined
  seen: number | undefined
  /** Just promised, promised a while ago, and to be relied on. */
  promise: string | undefined
  unripe: string | undefined
  ripe: string | undefined
  offer: Offer | undefined
  /** When it was last sent something, milliseconds since 1970. */
  offeredAt: number | undefined
  isUnanswered: boolean
  /** The client's time when it last asked what there is. */
  asked: string | undefined
}

/** Replicas of one library that are remembered; the one heard of longest ago goes first. */
const MAX_REPLICAS = 10_000

export class ReplicaProgress implements LiveCursors {
  private readonly replicas = new Map<ReplicaId, Live>()
  /** When replicas were sent what is of no library any more, and may still be about to store it. */
  private evicted = new Map<ReplicaId, number>()
  private changed = false

  received(replicaId: ReplicaId): number | null | undefined {
    return this.replicas.get(replicaId)?.received
  }

  seen(replicaId: ReplicaId): number | undefined {
    return this.replicas.get(replicaId)?.seen
  }

  ripe(): ReadonlyMap<ReplicaId, Cursor> {
    const ripe = new Map<ReplicaId, Cursor>()
    for (const [id, live] of this.replicas) {
      const { offer, seen, ripe: promise } = live
      // It acknowledges what it is sent before it stores it, and may end between the two.
      const isSure = offer === undefined || offer.ripensIn === 0
      const received = isSure ? live.received : offer.before
      ripe.set(id, {
        ...(promise !== undefined && { promise }),
        ...(typeof received === "number" && { received }),
        ...(seen !== undefined && { seen })
      })
    }
    return ripe
  }

  /** Whether anything has become known since this was last asked. */
  takeChanged(): boolean {
    const { changed } = this
    this.changed = false
    return changed
  }

  /**
   * Called at intervals longer than a client keeps what its user did to itself: until then it may still send operations
   * that are older than its promise.
   */
  ripen(): void {
    for (const live of this.replicas.values()) {
      if (live.offer?.ripensIn) {
        live.offer.ripensIn -= 1
        this.changed = true
      }
      if (live.unripe !== undefined) {
        live.ripe = live.unripe
        this.changed = true
      }
      live.unripe = live.promise
      live.promise = undefined
    }
  }

  /** Whether something is not to be relied on yet, and will be without another word. */
  hasUnripe(): boolean {
    for (const { offer, promise, unripe } of this.replicas.values()) {
      if (promise !== undefined || unripe !== undefined || offer?.ripensIn) return true
    }
    return false
  }

  hear(replicaId: ReplicaId, now: number): void {
    this.liveOf(replicaId).seen = now
    this.changed = true
  }

  /** It will never again send anything older. */
  promise(replicaId: ReplicaId, timestamp: string): void {
    const live = this.liveOf(replicaId)
    if (live.promise === undefined || live.promise < timestamp) live.promise = timestamp
    this.changed = true
  }

  /** The connection on which it was last sent what it missed has ended: what it promised of late does not hold. */
  leave(replicaId: ReplicaId, asOf: string | undefined): void {
    const live = this.replicas.get(replicaId)
    if (live === undefined) return
    live.promise = undefined
    live.unripe = undefined
    if (live.offer?.asOf === asOf && live.offer?.ripensIn) live.offer.ripensIn = undefined
  }

  /** It has everything up to a version. */
  receive(replicaId: ReplicaId, version: number, logged: number | null): void {
    const live = this.liveOf(replicaId)
    const before = live.received === undefined ? logged : live.received
    if (before !== null && before >= version) return
    live.received = version
    this.changed = true
  }

  /** It asks what there is; answers with its time when it asked before, undefined: not known. */
  ask(replicaId: ReplicaId, timestamp: string): string | undefined {
    const live = this.liveOf(replicaId)
    const before = live.asked
    live.asked = timestamp
    return before
  }

  /** It is sent something; whether that arrives shows later. */
  offer(
    replicaId: ReplicaId,
    offer: {
      readonly asOf: string
      readonly isReset: boolean
      readonly isPolling: boolean
      readonly logged: number | null
      readonly at: number
    }
  ): void {
    const live = this.liveOf(replicaId)
    // What it missed since is worth nothing without all that was before.
    if (live.offer?.isReset === true && !offer.isReset) return
    const { asOf, at, isPolling, isReset, logged } = offer
    const before = isReset ? null : live.received === undefined ? logged : live.received
    live.offer = { asOf, at, isReset, isSettled: false, before, ripensIn: isPolling ? undefined : 2 }
    live.offeredAt = at
    live.isUnanswered = false
  }

  /** What it was to begin anew with reached nobody. */
  miss(replicaId: ReplicaId): void {
    this.liveOf(replicaId).isUnanswered = true
  }

  isUnanswered(replicaId: ReplicaId): boolean {
    return this.replicas.get(replicaId)?.isUnanswered === true
  }

  /** Whether it was just sent everything, and asks again before it can have processed that. */
  isBeginning(replicaId: ReplicaId, since: string | null, now: number): boolean {
    const offer = this.replicas.get(replicaId)?.offer
    if (offer?.isReset !== true || (since !== null && since >= offer.asOf)) return false
    return now - offer.at < PROCESSING_MILLIS
  }

  isUnsettled(replicaId: ReplicaId): boolean {
    const offer = this.replicas.get(replicaId)?.offer
    return offer?.isReset === true && !offer.isSettled
  }

  /** It has put everything that it was sent in place of what it had. Whether that lasts, its next sync says. */
  settle(replicaId: ReplicaId): void {
    const offer = this.replicas.get(replicaId)?.offer
    if (offer !== undefined) offer.isSettled = true
  }

  /** Takes back what it said to have received, but never processed: it acknowledges before it stores. */
  confirm(replicaId: ReplicaId, since: string | null): void {
    const live = this.replicas.get(replicaId)
    if (live?.offer === undefined) return
    if (since === null || since < live.offer.asOf) live.received = live.offer.before
    live.offer = undefined
  }

  forget(replicaId: ReplicaId): void {
    this.replicas.delete(replicaId)
  }

  /** Of the library that was evicted nothing counts any more, but what its clients still process. */
  evict(): void {
    const sent = Array.from(this.replicas).flatMap(([id, { offeredAt }]) =>
      offeredAt === undefined ? [] : ([[id, offeredAt]] as const)
    )
    this.evicted = new Map(sent)
    this.replicas.clear()
  }

  isStoringEvicted(replicaId: ReplicaId, now: number): boolean {
    const at = this.evicted.get(replicaId)
    return at !== undefined && now - at < PROCESSING_MILLIS
  }

  private liveOf(replicaId: ReplicaId): Live {
    const live = this.replicas.get(replicaId) ?? {
      ...{ received: undefined, seen: undefined, asked: undefined, offer: undefined, offeredAt: undefined },
      ...{ promise: undefined, unripe: undefined, ripe: undefined, isUnanswered: false }
    }
    this.replicas.delete(replicaId)
    this.replicas.set(replicaId, live)
    if (this.replicas.size > MAX_REPLICAS) this.replicas.delete(this.replicas.keys().next().value!)
    return live
  }
}
