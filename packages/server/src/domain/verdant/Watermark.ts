/** The watermark: below it, no replica sends an operation any more, so clients and server may compact what is older. */
import { type DecisionContext, type KnownReplica, recordable } from "./Context.ts"
import type { Cursor, ReplicaId } from "./Events.ts"
import type { StoredOperation } from "./model/StoredItems.ts"
import { isTruant, recordableReceived } from "./Progress.ts"
import type { LibraryState, Replica } from "./State.ts"
import { newestBatch, newestFirst } from "./UnfoldedBatches.ts"

/** The replicas' progress, as an event records it. */
export interface RecordedProgress {
  readonly cursors?: Readonly<Record<string, Cursor>>
  readonly watermark?: string
}

/** Replicas of this type and below write, so the watermark waits for their promises. */
const LAST_WAITED_TYPE = 1

/** Whether the watermark waits for the promises of replicas of a type: not for passive and read-only ones. */
export const isWaitedFor = ({ type }: { readonly type: number }): boolean => type <= LAST_WAITED_TYPE

/**
 * The replica with the oldest promise among those that the watermark waits for, so the one that holds it down; undefined: it waits for
 * none. A replica that has promised nothing yet comes before all others.
 */
export const heldBy = (state: LibraryState, context: DecisionContext): Replica | undefined => {
  let oldest: Replica | undefined
  for (const replica of state.replicas.values()) {
    if (!isWaitedFor(replica) || isTruant(replica, context)) continue
    if (oldest === undefined || (replica.promise ?? "") < (oldest.promise ?? "")) oldest = replica
  }
  return oldest
}

/** How much older the log's time of the last word of a replica may be than what is known, as a part of the truancy time. */
const SEEN_PART = 1 / 100

/** The progress of the replicas that this process knows and the log does not hold yet. `state`: of the log alone. */
export const progressOf = (state: LibraryState, context: DecisionContext): RecordedProgress =>
  collect(state, context, (replica, live) => recordableReceived(state, replica, live))

/**
 * The same without `received`, for an event that stores operations. Every replica acknowledges every operation, so each such
 * event would repeat all of them.
 */
export const promisesOf = (state: LibraryState, context: DecisionContext): RecordedProgress =>
  collect(state, context, ({ received }) => received)

/** The cursors of the replicas that are known to have received more than the log says. */
export const receivedBeyond = (
  stored: LibraryState,
  known: Pick<LibraryState, "replicas">
): Readonly<Record<string, Cursor>> | undefined => {
  const changed = new Map<string, Cursor>()
  for (const { id, received } of known.replicas.values()) {
    if (received !== null && received !== stored.replicas.get(id)?.received) changed.set(id, { received })
  }
  return changed.size === 0 ? undefined : Object.fromEntries(changed)
}

const collect = (
  state: LibraryState,
  context: DecisionContext,
  receivedOf: (replica: Replica, live: KnownReplica | undefined) => number | null
): RecordedProgress => {
  // A Map, because a replica may be called `__proto__`.
  const changed = new Map<string, Cursor>()
  let watermark: string | undefined
  let isKnown = true
  for (const replica of state.replicas.values()) {
    const live = context.known.get(replica.id)
    const { promise, seen } = live === undefined ? ({} as Cursor) : recordable(live)
    const cursor: { -readonly [K in keyof Cursor]: Cursor[K] } = {}
    if (promise !== undefined && promise !== replica.promise) cursor.promise = promise
    const received = receivedOf(replica, live)
    if (received !== null && received !== replica.received) cursor.received = received
    if (seen !== undefined && seen - replica.seen > context.truancy * SEEN_PART) cursor.seen = seen
    if (Object.keys(cursor).length > 0) changed.set(replica.id, cursor)
    if (!isWaitedFor(replica) || isTruant(replica, context)) continue
    const promised = cursor.promise ?? replica.promise
    if (promised === null) isKnown = false
    else if (watermark === undefined || promised < watermark) watermark = promised
  }
  const rises = isKnown && watermark !== undefined && (state.watermark === null || watermark > state.watermark)
  return {
    ...(changed.size > 0 && { cursors: Object.fromEntries(changed) }),
    ...(rises && watermark !== undefined && { watermark })
  }
}

/**
 * Whether progress is worth an event of its own. Idle clients would fill the log with progress that changes nothing: a
 * promise alone, or that a replica has events without operations, such as the events of this kind.
 */
export const isWorthwhile = (state: LibraryState, { cursors = {}, watermark }: RecordedProgress): boolean => {
  const relevant = Math.max(state.foldedUpTo, newestBatch(state.batches)?.version ?? 0)
  for (const [id, { received, seen }] of Object.entries(cursors)) {
    if (seen !== undefined) return true
    if (received !== undefined && (state.replicas.get(id as ReplicaId)?.received ?? -1) < relevant) return true
  }
  if (watermark === undefined) return false
  const covers = ({ timestamp }: StoredOperation) =>
    timestamp < watermark && (state.watermark === null || timestamp >= state.watermark)
  for (const { operations } of newestFirst(state.batches)) if (operations.some(covers)) return true
  return false
}
