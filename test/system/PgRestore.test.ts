/** A Postgres database that was restored with `pg_restore` from a backup of `pg_dump`, with the programs of Debian. */
import { execFileSync } from "node:child_process"
import { globSync } from "node:fs"
import { join } from "node:path"
import { it } from "@effect/vitest"
import { PgStorage } from "@sealog/storage-pg"
import { Effect } from "effect"
import { vi } from "vitest"
import { administer } from "../support/storage/databases.ts"
import { makeCluster } from "../support/storage/PostgresCluster.ts"
import { throughRestore } from "../support/storage/throughRestore.ts"

vi.setConfig({ testTimeout: 600_000 })

/** The newest Postgres that Debian has installed. */
const installed = (): string => {
  const folders = globSync("/usr/lib/postgresql/*").toSorted(
    (a, b) => Number(a.split("/").at(-1)) - Number(b.split("/").at(-1))
  )
  return folders.at(-1)!
}

it.live("devices bring back what they hold after pg_dump and pg_restore, and newcomers see it", () =>
  Effect.gen(function* () {
    const folder = installed()
    const run = (program: string, ...args: ReadonlyArray<string>) => execFileSync(join(folder, "bin", program), args)
    const cluster = yield* Effect.acquireRelease(
      Effect.promise(() => makeCluster({ installed: folder })),
      ({ remove }) => Effect.sync(remove)
    )
    const inCluster = (name: string) => Object.assign(new URL(cluster.url), { pathname: `/${name}` }).href
    yield* administer("CREATE DATABASE served", cluster.url)
    const database = inCluster("served")
    yield* PgStorage.applyMigrations({ url: database })
    const backup = join(cluster.folder, "backup")
    yield* throughRestore({
      database,
      backUp: Effect.sync(() => run("pg_dump", "--format=custom", `--file=${backup}`, database)),
      end: ({ stop }) => stop,
      putBack: Effect.gen(function* () {
        yield* administer("DROP DATABASE served WITH (FORCE)", cluster.url)
        yield* administer("CREATE DATABASE served", cluster.url)
        run("pg_restore", `--dbname=${database}`, "--exit-on-error", backup)
      })
    })
  })
)
