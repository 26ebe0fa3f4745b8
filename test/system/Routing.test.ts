/** The shipped load balancer configurations send all clients of a document to one server, and fail over to another. */
import { assert, describe, it } from "@effect/vitest"
import { PgStorage } from "@sealog/storage-pg"
import { Array, Effect } from "effect"
import { SqlClient } from "effect/sql"
import { vi } from "vitest"
import { connectPair, untilAll } from "../support/secsync/SecsyncClient.ts"
import { mintToken } from "../support/servers/ServerProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { freshStorage } from "../support/storage/databases.ts"
import { assertShared, balancers, spawnAsked, startBalancer } from "./balancers.ts"

// Each test runs 24 real clients.
vi.setConfig({ testTimeout: 600_000 })

for (const balancer of balancers) {
  describe(balancer.program, () => {
    it.live(
      "the balancer sends a document's clients to one server, fails over when it is gone, and loses nothing",
      () =>
        Effect.gen(function* () {
          const database = yield* freshStorage
          const [one, two] = yield* Effect.all([spawnAsked(database), spawnAsked(database)], { concurrency: 2 })
          const { port } = yield* startBalancer(balancer, [one, two])
          const url = `ws://127.0.0.1:${port}`
          const token = yield* mintToken(randomName())

          const documents = yield* Effect.forEach(Array.range(1, 12), (number) =>
            Effect.gen(function* () {
              const clients = yield* connectPair({ url, token }, `document ${number}`)
              clients[1]?.write("and more")
              yield* untilAll(clients, "both have both", (client) => client.isSettled() && client.list().length === 2)
              return clients
            })
          )
          yield* assertShared([one, two], 2, 24)

          yield* one.kill
          for (const clients of documents) clients[0]?.write("after one was killed")
          for (const clients of documents) {
            yield* untilAll(
              clients,
              "both have all",
              (client) => client.isSettledOnActive() && client.list().length === 3
            )
          }
          yield* assertShared([two], 2, 24)

          yield* spawnAsked(database, { port: one.port })
          for (const clients of documents) clients[1]?.write("and after it came back")
          for (const clients of documents) {
            yield* untilAll(
              clients,
              "both have all",
              (client) => client.isSettledOnActive() && client.list().length === 4
            )
          }
          const stored = yield* Effect.provide(
            Effect.flatMap(
              SqlClient.SqlClient,
              (sql) =>
                sql<{ n: number }>`SELECT count(*)::float8 AS n FROM sealog.streams WHERE library_id <> '@server'`
            ),
            PgStorage.layerClient({ url: database })
          )
          assert.strictEqual(stored[0]?.n, 12)
        })
    )
  })
}
