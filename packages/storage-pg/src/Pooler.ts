/**
 * A pooler between server and database. In session mode it changes nothing. In transaction mode each transaction of a connection
 * may run in another session of the database: prepared statements and LISTEN do not survive that.
 */
import { StorageUnavailable } from "@sealog/server/ports"
import { Effect, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import type { Connection } from "effect/sql/SqlConnection"

/** Whether the URL says that the pooler is in transaction mode, in the words that other libraries use. */
export const isTransactionMode = (url: Redacted.Redacted<string> | string): boolean =>
  new URL(typeof url === "string" ? url : Redacted.value(url)).searchParams.get("pgbouncer") === "true"

const SETTING = "sealog.session"

/** Fails if the sessions of two connections are mixed. Does not fail if the database cannot be asked: the log's calls then say so. */
export const requireOwnSessions = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const mark = crypto.randomUUID()
  const isMixed = yield* Effect.gen(function* () {
    const [mine, other] = [yield* sql.reserve, yield* sql.reserve]
    yield* run(mine, `SELECT set_config('${SETTING}', '${mark}', false)`)
    // A pooler gives the other connection the session that has just become free, and this one a second session.
    yield* run(other, "BEGIN")
    const [row] = yield* run(mine, `SELECT current_setting('${SETTING}', true) AS mark`)
    yield* run(other, "ROLLBACK")
    return row?.mark !== mark
  }).pipe(
    Effect.scoped,
    Effect.orElseSucceed(() => false)
  )
  if (isMixed) return yield* new StorageUnavailable({ operation: "use the database", cause: new Error(MIXED) })
})

const MIXED =
  "a pooler in transaction mode is between this server and Postgres, and would break its prepared statements. " +
  "Use the pooler's session mode or Postgres itself, or put ?pgbouncer=true into the URL and give several servers --signals redis://…"

const run = (connection: Connection, statement: string) =>
  connection.executeUnprepared(statement, [], undefined) as Effect.Effect<ReadonlyArray<{ readonly mark?: string }>>
