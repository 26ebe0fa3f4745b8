/** Fresh databases for tests, on SQLite and on Postgres. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { PgStorage } from "@sealog/storage-pg"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Effect, type Scope } from "effect"
import { SqlClient } from "effect/sql"
import { inject } from "vitest"
import { freshCitusDatabase } from "./citus.ts"

/** Runs a statement as superuser, by default in the cluster's own database. */
export const administer = (statement: string, url = inject("postgresUrl")) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(statement)).pipe(
    Effect.provide(PgStorage.layerClient({ url })),
    Effect.orDie
  )

/** The URL of an empty Postgres database, with its owner, a superuser. */
export const emptyDatabase: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.gen(function* () {
    const name = `test_${crypto.randomUUID().replaceAll("-", "")}`
    yield* administer(`CREATE DATABASE ${name}`)
    return name
  }),
  (name) => administer(`DROP DATABASE ${name} WITH (FORCE)`)
).pipe(
  Effect.map((name) => {
    const url = new URL(inject("postgresUrl"))
    url.pathname = `/${name}`
    return url.href
  })
)

/** The URL of a migrated Postgres database. */
export const freshDatabase: Effect.Effect<string, never, Scope.Scope> = Effect.tap(emptyDatabase, (url) =>
  Effect.orDie(PgStorage.applyMigrations({ url }))
)

/** The URL of a migrated SQLite database. */
const freshFile: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "sealog-test-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
).pipe(
  Effect.map((folder) => join(folder, "sealog.db")),
  Effect.tap((filename) => Effect.orDie(SqliteStorage.applyMigrations({ filename }))),
  Effect.map((filename) => `sqlite:${filename}`)
)

export interface TestStorage {
  readonly name: "SQLite" | "Postgres"
  /** The URL of a fresh and migrated database, as `--database` takes it. */
  readonly fresh: Effect.Effect<string, never, Scope.Scope>
}

/** Both storages, for a test that runs on each by itself. */
export const storages: ReadonlyArray<TestStorage> = [
  { name: "SQLite", fresh: freshFile },
  { name: "Postgres", fresh: freshDatabase }
]

/** A fresh database of the project's storage. Tests that use it run once in each project. */
export const freshStorage: Effect.Effect<string, never, Scope.Scope> = Effect.suspend(() =>
  inject("storage") === "Citus" ? freshCitusDatabase : storages.find(({ name }) => name === inject("storage"))!.fresh
)

/** The storage at such a URL, for use in this process. */
export const layerOf = (url: string) =>
  url.startsWith("sqlite:")
    ? SqliteStorage.layer({ filename: url.slice("sqlite:".length) })
    : PgStorage.layerWithoutMigrations({ url })
