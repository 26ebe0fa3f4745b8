/** The snapshots that a client lacks, found by the one that it knows. */
import { Effect } from "effect"
import type { SnapshotId } from "../../domain/Ids.ts"
import type { StreamEvent, StreamKey } from "../../domain/Stream.ts"
import type { EventLog } from "../../ports/EventLog.ts"

/**
 * Events in which a child of an unknown snapshot is looked for, the newest ones. Any client can name an unknown snapshot, so
 * the look is bounded; a client that comes back after more events cannot follow.
 */
const MAX_LOOKED_AT = 2000

/**
 * The snapshots after `known`, oldest first; undefined: the log holds neither that snapshot nor a child of it. A log that was
 * restored from a backup, or that began with a client's snapshot, holds the child of a snapshot that it lacks.
 */
export const snapshotsAfter = Effect.fnUntraced(function* (
  log: EventLog["Service"],
  key: StreamKey,
  known: SnapshotId
) {
  const later = yield* log.readKeyed(key, known)
  if (later !== undefined) return later
  const [head] = yield* log.heads([key])
  const after = Math.max(0, (head?.version ?? 0) - MAX_LOOKED_AT)
  const snapshots = (yield* log.read(key, { after, payloads: false })).flatMap(({ event }) =>
    event.uniqueKey === undefined ? [] : [event]
  )
  const child = snapshots.findIndex((event) => isChild(event, known))
  return child === -1 ? undefined : snapshots.slice(child)
})

const isChild = ({ data }: StreamEvent, known: SnapshotId): boolean =>
  "parentSnapshotId" in data && data.parentSnapshotId === known
