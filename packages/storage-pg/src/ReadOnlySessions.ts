/**
 * Sessions that stay read-only although the database takes writes again: for example those of a pool that were opened to a
 * standby, or while a failover was under way. A session keeps the setting for as long as its connection lasts.
 */
import { Clock, Effect } from "effect"
import type { SqlClient } from "effect/sql"
import { onEachConnection } from "./onEachConnection.ts"
import { failedWith } from "./Unavailable.ts"

/** read_only_sql_transaction */
const READ_ONLY = "25006"

/** A database that is read-only itself is not asked more often than this, milliseconds. */
const PAUSE_MILLIS = 1000

/** Returns a function that ends the pool's read-only sessions once a statement has failed because of one. */
export const makeEndReadOnlySessions = (sql: SqlClient.SqlClient, connections: number) => {
  const endOne = sql`SELECT pg_sleep(0.1), CASE WHEN current_setting('transaction_read_only') = 'on'
    THEN pg_terminate_backend(pg_backend_pid()) END`
  const endAll = onEachConnection(connections, Effect.ignore(endOne))
  let endedAt = Number.NEGATIVE_INFINITY
  return (error: unknown): Effect.Effect<void> =>
    Effect.gen(function* () {
      if (!failedWith(error, READ_ONLY)) return
      const now = yield* Clock.currentTimeMillis
      if (now - endedAt < PAUSE_MILLIS) return
      endedAt = now
      yield* Effect.logWarning("A session of the database is read-only. Such sessions end, and new ones begin")
      yield* endAll
    })
}
