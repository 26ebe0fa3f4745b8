/**
 * What other processes wrote to the same file: SQLite counts their commits in `PRAGMA data_version`, and the events
 * say which streams they were.
 */

import type { LibraryId, StreamKey } from "@sealog/server/ports"
import { Signals } from "@sealog/server/ports"
import { Effect, Schedule, Stream } from "effect"
import { SqlClient } from "effect/sql"

/** How soon another process's write is noticed. */
const POLL = "250 millis"
/** Streams worth naming one by one. */
const MAX_NAMED = 1000

export const makeSignals = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  const dataVersion = Effect.map(sql<{ data_version: number }>`PRAGMA data_version`, ([row]) => row?.data_version ?? 0)
  const lastPosition = Effect.map(
    sql<{ position: number }>`SELECT coalesce(max(position), 0) AS position FROM events`,
    ([row]) => row?.position ?? 0
  )

  /** Streams written since `position`; own writes may be among them, which is harmless. */
  const writtenSince = (position: number) =>
    Effect.map(
      sql<{ library_id: LibraryId; stream_id: string }>`
        SELECT DISTINCT s.library_id, s.stream_id FROM events e JOIN streams s ON s.stream_number = e.stream_number
        WHERE e.position > ${position} LIMIT ${MAX_NAMED + 1}`,
      (rows): ReadonlyArray<StreamKey> | "all" =>
        rows.length > MAX_NAMED ? "all" : rows.map((row) => ({ libraryId: row.library_id, streamId: row.stream_id }))
    )

  // Since the storage was opened, not since somebody listens: nothing is lost between the two.
  const opened = yield* lastPosition

  const wakeups = Stream.suspend(() => {
    let position = opened
    // No count of commits: so the first look always reads.
    let version = -1
    const look = Effect.gen(function* () {
      const now = yield* dataVersion
      if (now === version) return []
      // Before the events: what is written in between is found again at the next look, rather than never.
      const last = yield* lastPosition
      const written = yield* writtenSince(position)
      position = last
      version = now
      return written
    }).pipe(
      // A file that cannot be read now is read at the next look; what was seen last is kept until then.
      Effect.catch((error) => Effect.as(Effect.logDebug("Looking for other processes' writes failed", error), []))
    )
    return Stream.fromEffectSchedule(look, Schedule.spaced(POLL)).pipe(
      Stream.filter((written) => written === "all" || written.length > 0)
    )
  })

  // One process serves a SQLite file; the others that open it are commands, which have nobody to tell.
  return Signals.of({ announce: () => Effect.void, wakeups, broadcast: () => Effect.void, broadcasts: Stream.never })
})
