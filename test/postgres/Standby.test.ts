/** A standby whose primary's Postgres crashes and comes back, as the replication goes on. */
import { assert, describe, it } from "@effect/vitest"
import { PgStorage } from "@sealog/storage-pg"
import { Effect } from "effect"
import { append, document, key, update } from "../admin/support.ts"
import { startReplicating } from "../support/servers/Replicating.ts"
import { runCommand } from "../support/servers/ServerProcess.ts"
import { freshDatabase, layerOf } from "../support/storage/databases.ts"
import { makeCluster } from "../support/storage/PostgresCluster.ts"
import { until } from "../support/until.ts"

describe("a standby", () => {
  it.live("waits while the primary's Postgres is away, and goes on once it is back", () =>
    Effect.gen(function* () {
      const cluster = yield* Effect.acquireRelease(
        Effect.promise(() => makeCluster()),
        ({ remove }) => Effect.sync(remove)
      )
      const standby = yield* freshDatabase
      yield* PgStorage.applyMigrations({ url: cluster.url })
      const store = (updates: Parameters<typeof append>[1]) =>
        Effect.provide(append(key, updates), layerOf(cluster.url))
      yield* store(document(3))
      const { end, metric } = yield* startReplicating(cluster.url, standby)
      const reaches = (name: string, least: number) =>
        until(
          `${name} is ${least}`,
          Effect.map(metric(name), (value) => value >= least)
        )
      yield* reaches("sealog_standby_events_total", 4)
      cluster.stop("immediate")
      yield* reaches("sealog_standby_failures_total", 1)
      cluster.start()
      yield* store([update(3), update(4)])
      yield* reaches("sealog_standby_events_total", 6)
      const { code, output } = yield* end("SIGTERM")
      assert.strictEqual(code, 0, output)
      const { stdout } = yield* runCommand(standby, "stats")
      assert.isAtLeast(JSON.parse(stdout).events, 6)
    })
  )
})
