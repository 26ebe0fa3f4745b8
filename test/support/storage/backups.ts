/** Backups of a database, which tests put back: with a server stopped, or under a running one. */
import { PgStorage } from "@sealog/storage-pg"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

const isDeadlock = (error: unknown): boolean =>
  (error as { readonly reason?: { readonly _tag?: string } }).reason?._tag === "DeadlockError"

/** In this order, a row is inserted after the one that it refers to. */
const TABLES = ["streams", "events", "payloads"] as const

/**
 * Keeps a copy of all rows in the database itself, and returns an effect that puts them back in one transaction. For a
 * server, that is a database that was restored under it.
 */
export const keepRows = Effect.fnUntraced(function* (database: string) {
  const isSqlite = database.startsWith("sqlite:")
  const inSchema = (name: string) => (isSqlite ? name : `sealog.${name}`)
  const run = (use: (sql: SqlClient.SqlClient) => Effect.Effect<unknown, unknown>) => {
    const used = Effect.flatMap(SqlClient.SqlClient, (sql) => sql.withTransaction(use(sql)))
    return isSqlite
      ? Effect.provide(used, SqliteStorage.layerClient({ filename: database.slice("sqlite:".length) }))
      : Effect.provide(used, PgStorage.layerClient({ url: database }))
  }
  const name = (table: string) => inSchema(`kept_${table}`)
  yield* Effect.orDie(
    run((sql) =>
      Effect.gen(function* () {
        // All tables of one moment, while a server writes.
        if (!isSqlite) yield* sql.unsafe("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        for (const table of TABLES) {
          yield* sql.unsafe(`CREATE TABLE ${name(table)} AS SELECT * FROM ${inSchema(table)}`)
        }
      })
    )
  )
  return Effect.orDie(
    run(
      (sql) =>
        Effect.gen(function* () {
          const triggers = isSqlite
            ? yield* sql<{ name: string; sql: string }>`SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'`
            : []
          for (const { name } of triggers) yield* sql.unsafe(`DROP TRIGGER ${name}`)
          // No append of a server comes between two of the tables.
          if (!isSqlite) yield* sql.unsafe(`LOCK TABLE ${TABLES.map(inSchema).join(", ")} IN ACCESS EXCLUSIVE MODE`)
          // On a Citus cluster, the triggers are those of the workers' tables.
          if (!isSqlite) yield* sql.unsafe("SET LOCAL citus.propagate_set_commands = 'local'")
          if (!isSqlite) yield* sql.unsafe("SET LOCAL session_replication_role = replica")
          for (const table of TABLES.toReversed()) yield* sql.unsafe(`DELETE FROM ${inSchema(table)}`)
          for (const table of TABLES) {
            yield* sql.unsafe(`INSERT INTO ${inSchema(table)} SELECT * FROM ${name(table)}`)
          }
          for (const trigger of triggers) yield* sql.unsafe(trigger.sql)
        })
      // Postgres ends it when it and a server's statement wait for each other's tables.
    ).pipe(Effect.retry({ times: 10, while: isDeadlock }))
  )
})
