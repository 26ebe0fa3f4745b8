/** How far a replica is, by the log and by what this process knows beyond it: the only place that combines the two. */
import type { Sync } from "./Commands.ts"
import { type DecisionContext, type KnownReplica, recordable } from "./Context.ts"
import type { ReplicaId } from "./Events.ts"
import { isNew, type LibraryState, type Replica } from "./State.ts"

/**
 * The version up to which a replica has everything; null: not even its last reset is known to have arrived. Knowledge from
 * before the replica's last reset, or of versions that the state does not have yet, does not count.
 */
export const receivedBy = (
  { version }: Pick<LibraryState, "version">,
  { joinedAt, received }: Replica,
  known: KnownReplica | undefined
): number | null => {
  const live = known?.received
  if (live === undefined || (live ?? 0) > version) return received
  return live !== null && live < joinedAt ? received : live
}

/**
 * The version up to which a replica has everything, as the log may record it. It never falls without a reset, so knowledge
 * that is behind the log does not count: another process served the replica since.
 */
export const recordableReceived = (
  { version }: Pick<LibraryState, "version">,
  { joinedAt, received }: Replica,
  known: KnownReplica | undefined
): number | null => {
  const stored = known && recordable(known).received
  if (stored === undefined || stored > version || stored < joinedAt) return received
  return Math.max(stored, received ?? stored)
}

/** The state with what this process knows its replicas to have received. */
export const withKnowledge = (state: LibraryState, context: Pick<DecisionContext, "known">): LibraryState =>
  withReceived(state, context, receivedBy)

/** The state with what the log may record its replicas to have received. */
export const withRecordable = (state: LibraryState, context: Pick<DecisionContext, "known">): LibraryState =>
  withReceived(state, context, recordableReceived)

const withReceived = (
  state: LibraryState,
  { known }: Pick<DecisionContext, "known">,
  receivedOf: typeof receivedBy
): LibraryState => {
  let replicas: Map<ReplicaId, Replica> | undefined
  for (const replica of state.replicas.values()) {
    const received = receivedOf(state, replica, known.get(replica.id))
    if (received === replica.received) continue
    replicas ??= new Map(state.replicas)
    replicas.set(replica.id, { ...replica, received })
  }
  return replicas === undefined ? state : { ...state, replicas }
}

/** The reset of a replica has arrived if its client takes that for its last sync. */
export const withArrival = (replica: Replica, { since }: Pick<Sync, "since">): Replica =>
  replica.received === null && since !== null && since >= replica.asOf
    ? { ...replica, received: replica.joinedAt }
    : replica

/** When a replica was last heard of, milliseconds since 1970. */
const lastHeard = ({ id, seen }: Replica, { known }: DecisionContext): number =>
  Math.max(seen, known.get(id)?.seen ?? 0)

/** Whether a replica counts as away: the server does not wait for it, and resets it when it comes back. */
export const isTruant = (replica: Replica, context: DecisionContext): boolean =>
  replica.isTruant || context.now - lastHeard(replica, context) > context.truancy

/** The truant replica that was silent for longest; undefined: none is truant. */
export const longestTruant = ({ replicas }: LibraryState, context: DecisionContext): Replica | undefined => {
  let longest: Replica | undefined
  for (const replica of replicas.values()) {
    if (!isTruant(replica, context)) continue
    if (longest === undefined || lastHeard(replica, context) < lastHeard(longest, context)) longest = replica
  }
  return longest
}

/** How long a client may take to process an answer, in milliseconds. */
export const PROCESSING_MILLIS = 5000

/** How long a poll may be on its way, in milliseconds: longer than its body may take to arrive. */
const TRANSIT_MILLIS = 60_000

/**
 * Whether a replica that syncs may still be storing an answer that replaces all it has. A second reset would then discard
 * what its user wrote in between, or mix with the first one; and a restoration would lack what it is about to store.
 *
 * Any connection may have sent the reset: a client that polls connects while it stores the answer to its poll. A connected
 * client acknowledges what it stored. A polling client acknowledges before that, so its next sync has to tell.
 *
 * A poll may arrive after a sync that the client made later. If the client made it before it had stored its last reset, it
 * tells of that time, and the later sync told better.
 */
export const isBeingReset = (
  state: LibraryState,
  { isPolling, replicaId, since, timestamp }: Pick<Sync, "isPolling" | "replicaId" | "since" | "timestamp">,
  { evictedContent, known, now }: DecisionContext
): boolean => {
  const isRecent = (at: number | undefined) => at !== undefined && now - at < PROCESSING_MILLIS
  const isBefore = (asOf: string) => since === null || since < asOf
  if (isNew(state)) return isPolling && isRecent(evictedContent.get(replicaId))
  const live = known.get(replicaId)
  const replica = state.replicas.get(replicaId)
  const { asked } = live ?? {}
  const isOvertaken = asked !== undefined && timestamp < asked.timestamp && now - asked.at < TRANSIT_MILLIS
  if (isOvertaken && replica !== undefined && isBefore(replica.asOf)) return true
  // This process sent it the library.
  const { offer } = live ?? {}
  if (offer?.isReset === true && isBefore(offer.asOf) && isRecent(offer.at)) return isPolling || !offer.isSettled
  // The log says that some process did. A connected client has told this one otherwise, if anything is known of it here.
  if (replica === undefined || live?.isUnanswered === true) return false
  if (!isPolling && live?.received !== undefined) return false
  return receivedBy(state, replica, live) === null && isBefore(replica.asOf) && isRecent(replica.seen)
}

/** Whether a replica may lose what it writes now, because its client will put the library that it was sent in its place. */
export const mayLoseWrites = (state: LibraryState, replicaId: ReplicaId, { known }: DecisionContext): boolean => {
  const replica = state.replicas.get(replicaId)
  if (replica === undefined) return false
  const live = known.get(replicaId)
  if (receivedBy(state, replica, live) === null) return true
  return live?.offer?.isReset === true && !live.offer.isSettled
}
