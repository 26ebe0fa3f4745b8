/**
 * Whether a client that comes back knows more of a document than the log: the log was restored from a backup. A real client
 * knows only what a server acknowledged or sent, and so nothing that a whole log lacks.
 */
import { Effect } from "effect"
import type { PublicKey } from "../../domain/Ids.ts"
import type { StreamKey } from "../../domain/Stream.ts"
import * as Secsync from "../../domain/secsync/index.ts"
import type { EventLog } from "../../ports/EventLog.ts"
import type { Tail } from "../../rooms/TailCache.ts"
import { documentOf } from "./Document.ts"
import type { Known } from "./DocumentContent.ts"
import { snapshotsAfter } from "./snapshotsAfter.ts"

/**
 * - level: nothing.
 * - updates: so many updates to a snapshot that the log holds.
 * - snapshot: a snapshot that the log does not hold, and of which it holds no child.
 */
export type KnownMore =
  | { readonly _tag: "level" }
  | { readonly _tag: "updates"; readonly updates: number }
  | { readonly _tag: "snapshot" }

const level: KnownMore = { _tag: "level" }

export const knownMore = Effect.fnUntraced(function* (
  log: EventLog["Service"],
  key: StreamKey,
  tail: Tail,
  { clocks, snapshotId }: Known
) {
  if (snapshotId === undefined) return level
  const { snapshot } = documentOf(tail)
  if (snapshot?.snapshotId === snapshotId) return beyond(clocks, clocksOf(tail))
  const later = yield* snapshotsAfter(log, key, snapshotId)
  // Another client may have brought the child back since the tail was read: then it comes after the tail, as an event.
  if (later === undefined || (later[0]?.version ?? 0) > tail.head.version) return { _tag: "snapshot" } as const
  const [next] = later.map(Secsync.fromStreamEvent)
  // A document that began again does not follow from the content of the client.
  if (next?._tag !== "SnapshotStored" || next.parentSnapshotId !== snapshotId) return level
  return beyond(clocks, next.parentSnapshotUpdateClocks)
})

const beyond = (known: ReadonlyMap<PublicKey, number>, stored: Readonly<Record<PublicKey, number>>): KnownMore => {
  let updates = 0
  for (const [key, clock] of known) updates += Math.max(0, clock - (stored[key] ?? -1))
  return updates === 0 ? level : { _tag: "updates", updates }
}

/** Each author's last clock in a tail; read once for all clients that come back to it. */
const clocksOf = (tail: Tail): Readonly<Record<PublicKey, number>> => {
  const found = clocksOfTails.get(tail)
  if (found !== undefined) return found
  const clocks: Record<PublicKey, number> = Object.fromEntries(
    documentOf(tail).updates.map(({ clock, pubKey }) => [pubKey, clock])
  )
  clocksOfTails.set(tail, clocks)
  return clocks
}

const clocksOfTails = new WeakMap<Tail, Readonly<Record<PublicKey, number>>>()
