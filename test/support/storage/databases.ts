/** Databases of a test's own, and both storages for tests that run on each. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { PgStorage } from "@sealog/storage-pg"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Effect, type Scope } from "effect"
import { SqlClient } from "effect/sql"
import { inject } from "vitest"

/** A statement as superuser, in the cluster's own database or in the one given. */
export const administer = (statement: string, url = inject("postgresUrl")) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(statement)).pipe(
    Effect.provide(PgStorage.layerClient({ url })),
    Effect.orDie
  )

/** An empty database; the URL of its owner, a superuser. */
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

/** A database that is migrated. */
export const freshDatabase: Effect.Effect<string, never, Scope.Scope> = Effect.tap(emptyDatabase, (url) =>
  Effect.orDie(PgStorage.applyMigrations({ url }))
)

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
  /** The URL of a migrated database of its own, as `--database` takes it. */
  readonly fresh: Effect.Effect<string, never, Scope.Scope>
}

export const storages: ReadonlyArray<TestStorage> = [
  { name: "SQLite", fresh: freshFile },
  { name: "Postgres", fresh: freshDatabase }
]

/** A fresh database of the storage that this run is about: these tests run once for each. */
export const freshStorage: Effect.Effect<string, never, Scope.Scope> = Effect.suspend(
  () => storages.find(({ name }) => name === inject("storage"))!.fresh
)

/** The storage of a URL that `fresh` gave, in this process. */
export const layerOf = (url: string) =>
  url.startsWith("sqlite:")
    ? SqliteStorage.layer({ filename: url.slice("sqlite:".length) })
    : PgStorage.layerWithoutMigrations({ url })
