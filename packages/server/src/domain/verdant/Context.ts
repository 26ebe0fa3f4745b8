/**
 * The context of a decision, besides the state and the command: the time, and what this process knows of its replicas
 * beyond the log. The room makes it at the moment it decides, and it never changes afterwards.
 */
import { type LogUse, noQuota, type Quota } from "../Quota.ts"
import type { Cursor, ReplicaId } from "./Events.ts"

export interface DecisionContext {
  /** Milliseconds since 1970. */
  readonly now: number
  /** A replica that was not heard of for longer, in milliseconds, is truant. */
  readonly truancy: number
  readonly quota: Quota
  /** The use that the library makes of the log. Default: its Verdant data's events, and no payload. */
  readonly logUse?: LogUse
  /** When the log was last restored from a backup, milliseconds since 1970. Default: never. */
  readonly restoredAt?: number | undefined
  /** By replica; a replica that is missing is known from the log alone. */
  readonly known: ReadonlyMap<ReplicaId, KnownReplica>
  /** When a replica was last sent content of the library that was evicted since, milliseconds since 1970. */
  readonly evictedContent: ReadonlyMap<ReplicaId, number>
}

/** A replica as this process knows it. The knowledge may be lost: the replica then counts as less far than it is. */
export interface KnownReplica {
  /** It has everything up to this version. null: its last reset did not arrive. undefined: the log knows as much. */
  readonly received: number | null | undefined
  /** When it was last heard of, milliseconds since 1970. */
  readonly seen: number | undefined
  /** It will never send an older operation; promised long enough ago to be relied on. */
  readonly promise: string | undefined
  /** The last answer that had content, until the replica's next sync shows whether it processed that. */
  readonly offer: Offer | undefined
  /** It was reset, and its connection was gone before the answer. */
  readonly isUnanswered: boolean
  /** Its last sync: the client's time, and when that arrived, in milliseconds since 1970. */
  readonly asked: { readonly timestamp: string; readonly at: number } | undefined
}

/** An answer with content. */
export interface Offer {
  /** The time that the client takes for its last sync once it has processed the answer. */
  readonly asOf: string
  /** The `received` of the replica before this answer. */
  readonly before: number | null
  /** The answer held the whole library, in place of what the replica had. */
  readonly isReset: boolean
  /** The client said that it put the library in place of what it had. */
  readonly isSettled: boolean
  /** When it was sent, milliseconds since 1970. */
  readonly at: number
  /** Intervals after which a connected client has stored it; undefined: only the client's next sync tells. */
  readonly ripensIn: number | undefined
}

/** The context of a process that serves no replicas, such as an administrative command. No quota holds there. */
export const contextOfLogAlone = (time: { readonly now: number; readonly truancy: number }): DecisionContext => ({
  ...time,
  quota: noQuota,
  known: new Map(),
  evictedContent: new Map()
})

/**
 * The progress of a replica that the log may record. A client acknowledges an answer before it stores it and may end between the two,
 * so what was in an answer counts only once that is stored.
 */
export const recordable = ({ offer, promise, received, seen }: KnownReplica): Cursor => {
  const isStored = offer === undefined || offer.ripensIn === 0
  const stored = isStored ? received : offer.before
  return {
    ...(promise !== undefined && { promise }),
    ...(typeof stored === "number" && { received: stored }),
    ...(seen !== undefined && { seen })
  }
}
