/** The watermark: how far replicas have promised and received, and so which operations may be compacted. */
import type { Circumstances } from "./Commands.ts"
import type { Cursor, ReplicaId } from "./Events.ts"
import type { StoredOperation } from "./model/StoredItems.ts"
import type { LibraryState, Replica } from "./State.ts"
import { newestFirst } from "./UnfoldedBatches.ts"

export const isTruant = (replica: Replica, { cursors, now, truancy }: Circumstances): boolean =>
  replica.isTruant || now - Math.max(replica.seen, cursors.seen(replica.id) ?? 0) > truancy

/** The state with what this process knows to have been received. */
export const settle = (state: LibraryState, { cursors }: Circumstances): LibraryState => {
  let replicas: Map<ReplicaId, Replica> | undefined
  for (const replica of state.replicas.values()) {
    const received = cursors.received(replica.id)
    if (received === undefined || received === replica.received || (received ?? 0) > state.version) continue
    if (received !== null && isOfBefore(replica, received)) continue
    replicas ??= new Map(state.replicas)
    replicas.set(replica.id, { ...replica, received })
  }
  return replicas === undefined ? state : { ...state, replicas }
}

/** Known of it before it began anew. */
export const isOfBefore = ({ joinedAt }: Replica, received: number): boolean => received < joinedAt

interface Progress {
  readonly cursors?: Readonly<Record<string, Cursor>>
  readonly watermark?: string
}

/** How much older than what is known the log may think that a replica was last seen, as a part of the truancy time. */
const SEEN_PART = 1 / 100

export const progressOf = (stored: LibraryState, circumstances: Circumstances): Progress => {
  // A replica may be called `__proto__`.
  const changed = new Map<string, Cursor>()
  let watermark: string | undefined
  let isKnown = true
  const live = circumstances.cursors.ripe()
  for (const replica of stored.replicas.values()) {
    const ripe = live.get(replica.id)
    const cursor: { -readonly [K in keyof Cursor]: Cursor[K] } = {}
    if (ripe?.promise !== undefined && ripe.promise !== replica.promise) cursor.promise = ripe.promise
    const received = ripe?.received
    if (received !== undefined && received !== replica.received && received <= stored.version) {
      if (!isOfBefore(replica, received)) cursor.received = received
    }
    if (ripe?.seen !== undefined && ripe.seen - replica.seen > circumstances.truancy * SEEN_PART)
      cursor.seen = ripe.seen
    if (Object.keys(cursor).length > 0) changed.set(replica.id, cursor)
    // What passive and read-only replicas promise nobody waits for.
    if (replica.type > 1 || isTruant(replica, circumstances)) continue
    const promise = cursor.promise ?? replica.promise
    if (promise === null) isKnown = false
    else if (watermark === undefined || promise < watermark) watermark = promise
  }
  const rises = isKnown && watermark !== undefined && (stored.watermark === null || watermark > stored.watermark)
  return {
    ...(changed.size > 0 && { cursors: Object.fromEntries(changed) }),
    ...(rises && watermark !== undefined && { watermark })
  }
}

/**
 * What nothing comes of is not written down, or idle clients would fill the log: a promise alone, and that a replica has
 * what brought no operations, as what is written here.
 */
export const isWorthwhile = (state: LibraryState, { cursors = {}, watermark }: Progress): boolean => {
  const relevant = Math.max(state.foldedUpTo, state.batches?.newest.version ?? 0)
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
