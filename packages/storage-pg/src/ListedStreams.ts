/**
 * The list of streams, compared with the events. A stream that the list does not name looks like one that nobody has begun: its clients
 * would be served nothing, and would begin it again. The list loses a stream to a page of its table that a disk has emptied, or to an
 * old page of its index.
 */
import { LogDamaged, type StreamKey } from "@sealog/server/ports"
import { Effect, Semaphore } from "effect"
import { SqlClient } from "effect/sql"

/** Libraries whose comparison a process remembers. */
const MAX_REMEMBERED = 10_000

/** A library that has lost a stream is compared again after so many milliseconds: an operator may have mended it. */
const AGAIN_MILLIS = 60_000

/** Streams of a library that a reader waits for: half a second on a busy machine. `doctor` compares all. */
const MAX_COMPARED = 10_000

/**
 * Of at most $2 streams of the library $1, those that have events and that are not found by their id. It steps over the events of a
 * stream. `count(*)`, and no join: Postgres looks the id up in the index, as a read of the stream does.
 */
const COUNT_UNLISTED = `WITH RECURSIVE number AS (
    SELECT min(e.stream_number) AS n FROM sealog.events e WHERE e.library_id = $1
    UNION ALL
    SELECT (SELECT min(e.stream_number) FROM sealog.events e WHERE e.library_id = $1 AND e.stream_number > number.n)
    FROM number WHERE number.n IS NOT NULL
  )
  SELECT count(*)::float8 AS streams FROM (SELECT n FROM number WHERE n IS NOT NULL LIMIT $2::float8::bigint) number
  WHERE (SELECT count(*) FROM sealog.streams named WHERE named.library_id = $1 AND named.stream_id =
    (SELECT s.stream_id FROM sealog.streams s WHERE s.library_id = $1 AND s.stream_number = number.n)) = 0`

/** Returns the number of streams that the list lacks, of at most `limit` streams of a library. Default: of all. */
export const countUnlisted = Effect.fnUntraced(function* (libraryId: string, limit: number | null = null) {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql.unsafe<{ streams: number }>(COUNT_UNLISTED, [libraryId, limit])
  return row?.streams ?? 0
})

export const REMEDY = "`REINDEX TABLE sealog.streams`; if that does not help, put a backup back (docs/damage.md)"

interface Comparison {
  /** When Postgres started: a crash of its machine may lose a page later. */
  readonly startedAt: string
  readonly lost: number
  /** When the comparison ended, milliseconds of a clock that never goes back. */
  readonly endedAt: number
}

/** Returns a check of a stream that was not found. It dies of `LogDamaged` if its library has lost a stream, which may be this one. */
export const makeRequireListed = (sql: SqlClient.SqlClient) => {
  const comparisons = new Map<string, Comparison>()
  // A client that opens many unknown documents takes one connection of the pool.
  const turn = Semaphore.makeUnsafe(1)
  const compare = Effect.fnUntraced(function* (libraryId: string) {
    const [server] = yield* sql<{ started: string }>`SELECT pg_postmaster_start_time()::text AS started`
    const startedAt = server?.started ?? ""
    const found = comparisons.get(libraryId)
    const isKnown =
      found?.startedAt === startedAt && (found.lost === 0 || performance.now() - found.endedAt < AGAIN_MILLIS)
    if (isKnown) return found.lost
    const lost = yield* Effect.provideService(countUnlisted(libraryId, MAX_COMPARED), SqlClient.SqlClient, sql)
    for (const [oldest] of comparisons) {
      if (comparisons.size < MAX_REMEMBERED) break
      comparisons.delete(oldest)
    }
    comparisons.set(libraryId, { startedAt, lost, endedAt: performance.now() })
    return lost
  }, turn.withPermit)
  return Effect.fnUntraced(function* ({ libraryId }: StreamKey) {
    const lost = yield* compare(libraryId)
    if (lost === 0) return
    const detail = `the library has events of ${lost} streams that the list of streams does not name: ${REMEDY}`
    return yield* Effect.die(new LogDamaged({ detail }))
  })
}
