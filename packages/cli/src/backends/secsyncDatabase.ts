/** The Postgres database of a secsync-server, with the Prisma schema of its setup guide. It is read, never written. */
import { type SecsyncTables, SecsyncUnreadable } from "@sealog/server/admin"
import { PgStorage } from "@sealog/storage-pg"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql"
import { CliFailure } from "../output/CliFailure.ts"
import { errorText } from "../output/errorText.ts"

/** Runs `use` with the tables, all read at one moment. */
export const withSecsyncTables = <A, E, R>(url: string, use: (tables: SecsyncTables) => Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const reading = Effect.gen(function* () {
      yield* readable(sql`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY`)
      return yield* use(tablesOf(sql))
    })
    return yield* sql.withTransaction(reading).pipe(Effect.catchTag("SqlError", (error) => unreadable(error)))
  }).pipe(Effect.provide(PgStorage.layerClient({ url, maxConnections: 1 })))

/** The URL that an argument names: itself, or the value of a variable, which hides its password. */
export const secsyncUrlOf = (argument: string): string => {
  const url = argument.startsWith("env:") ? (process.env[argument.slice("env:".length)] ?? "") : argument
  if (/^postgres(ql)?:\/\//.test(url) && URL.canParse(url)) return url
  throw new CliFailure({
    code: "DATABASE_URL_INVALID",
    // The message leaves out the URL, which may hold a password.
    message: "The URL of the secsync-server's database does not have the form postgres://USER:PASSWORD@HOST:PORT/NAME.",
    exitCode: 2,
    tryThis: "the DATABASE_URL of the secsync-server, or env:NAME to read it from a variable"
  })
}

const tablesOf = (sql: SqlClient.SqlClient): SecsyncTables => ({
  documents: (after, limit) =>
    readable(sql<{ id: string; activeSnapshotId: string | null }>`
      SELECT id, "activeSnapshotId" FROM "Document" WHERE id COLLATE "C" > ${after} ORDER BY id COLLATE "C" LIMIT ${limit}`),
  snapshot: (documentId, snapshotId) =>
    readable(sql<{ data: string }>`
      SELECT data FROM "Snapshot" WHERE id = ${snapshotId} AND "documentId" = ${documentId}`).pipe(
      Effect.map(([row]) => row?.data)
    ),
  updates: (snapshotId) =>
    readable(sql<{ data: string }>`
      SELECT data FROM "Update" WHERE "snapshotId" = ${snapshotId} ORDER BY version`).pipe(
      Effect.map((rows) => rows.map(({ data }) => data))
    )
})

const readable = <A>(query: Effect.Effect<A, unknown>): Effect.Effect<A, SecsyncUnreadable> =>
  Effect.catch(query, unreadable)

const unreadable = (error: unknown): Effect.Effect<never, SecsyncUnreadable> => {
  let cause = error
  while (cause instanceof Error && cause.cause instanceof Error) cause = cause.cause
  const detail = errorText(cause)
  return Effect.fail(new SecsyncUnreadable({ detail: `The secsync-server's database cannot be read: ${detail}` }))
}
