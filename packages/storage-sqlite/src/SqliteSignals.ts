/**
 * Wake-ups for the writes of other processes to the same file. SQLite counts the commits of other connections in
 * `PRAGMA data_version`; the events written since the last look name the streams.
 */
import type { LibraryId, StreamKey } from "@sealog/server/ports"
import { Signals } from "@sealog/server/ports"
import { Effect, Schedule, Stream } from "effect"
import { SqlClient } from "effect/sql"

/** Time between two looks for the writes of other processes. */
const POLL = "250 millis"
/** With more streams than this, a wake-up says "all". */
const MAX_NAMED = 1000

export const makeSignals = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  const dataVersion = Effect.map(sql<{ data_version: number }>`PRAGMA data_version`, ([row]) => row?.data_version ?? 0)
  const lastPosition = Effect.map(
    sql<{ position: number }>`SELECT coalesce(max(position), 0) AS position FROM events`,
    ([row]) => row?.position ?? 0
  )

  /** Reads the streams written since `position`. Writes of this process may be among them, which is harmless. */
  const writtenSince = (position: number) =>
    Effect.map(
      sql<{ library_id: LibraryId; stream_id: string }>`
        SELECT DISTINCT s.library_id, s.stream_id FROM events e JOIN streams s ON s.stream_number = e.stream_number
        WHERE e.position > ${position} LIMIT ${MAX_NAMED + 1}`,
      (rows): ReadonlyArray<StreamKey> | "all" =>
        rows.length > MAX_NAMED ? "all" : rows.map((row) => ({ libraryId: row.library_id, streamId: row.stream_id }))
    )

  // Starts at the position when the storage opened: a write before the first subscription is not lost.
  const opened = yield* lastPosition

  const wakeups = Stream.suspend(() => {
    let position = opened
    // No real count of commits is negative, so the first look always reads.
    let version = -1
    const look = Effect.gen(function* () {
      const now = yield* dataVersion
      if (now === version) return []
      // Read before the events: an event that is written in between is found again at the next look, instead of never.
      const last = yield* lastPosition
      const written = yield* writtenSince(position)
      position = last
      version = now
      return written
    }).pipe(
      // The next look starts from the same position, so a failed look loses nothing.
      Effect.catch((error) => Effect.as(Effect.logDebug("Looking for other processes' writes failed", error), []))
    )
    return Stream.fromEffectSchedule(look, Schedule.spaced(POLL)).pipe(
      Stream.filter((written) => written === "all" || written.length > 0)
    )
  })

  // One process serves a SQLite file. The other processes that open it are commands, which have no clients to tell.
  return Signals.of({ announce: () => Effect.void, wakeups, broadcast: () => Effect.void, broadcasts: Stream.never })
})
