/** After `kill -9`, every acknowledged update is stored once, in its author's order. */
import { assert, describe, it } from "@effect/vitest"
import { LibraryId } from "@sealog/server/domain/Ids"
import { Array, Deferred, Effect } from "effect"
import { vi } from "vitest"
import { makeRandom } from "../support/random.ts"
import { connectClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { assertStored, begin, makeWriter, writeOn } from "../support/secsync/Writers.ts"
import { mintToken, runCommand, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { freshStorage } from "../support/storage/databases.ts"

// Each test starts and kills several server processes.
vi.setConfig({ testTimeout: 600_000 })

const ROUNDS = 6
describe("kill -9", () => {
  it.live("every acknowledged update is stored once and in order after each of several kills under load", () =>
    Effect.gen(function* () {
      const random = makeRandom()
      console.log(`kill -9 with TEST_SEED=${random.seed}`)
      const database = yield* freshStorage
      const libraryId = LibraryId.make(randomName())
      const token = yield* mintToken(libraryId)
      const [shared, own] = [randomName(), randomName()]
      const writers = [shared, shared, own].map(makeWriter)

      for (const round of Array.range(1, ROUNDS)) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const server = yield* spawnServer(database)
            if (round === 1) {
              for (const documentId of [shared, own]) yield* begin(server.url, documentId, token)
            }
            const enough = yield* Deferred.make<void>()
            let left = 20 + random.next(400)
            const onAcknowledged = () => {
              left -= 1
              if (left === 0) Deferred.doneUnsafe(enough, Effect.void)
            }
            yield* Effect.forEach(writers, (writer) => writeOn(server.url, writer, token, onAcknowledged))
            yield* Deferred.await(enough)
            // The kill hits the server anywhere in its work.
            for (let turn = random.next(50); turn > 0; turn--) yield* Effect.yieldNow
            yield* server.kill
          })
        )
        yield* assertStored(database, libraryId, writers, `round ${round}, seed ${random.seed}`)
        const replayed = yield* runCommand(database, "replay")
        assert.strictEqual(replayed.exitCode, 0, replayed.stdout + replayed.stderr)
        assert.strictEqual(JSON.parse(replayed.stdout).problemCount, 0)
      }
    })
  )

  it.live("real clients reconnect after each kill, go on, and converge", () =>
    Effect.gen(function* () {
      const random = makeRandom()
      console.log(`kill -9 under clients with TEST_SEED=${random.seed}`)
      const database = yield* freshStorage
      const options = { documentId: randomName(), token: yield* mintToken(randomName()) }
      const first = yield* spawnServer(database)
      const port = Number(new URL(first.url).port)
      const clients = yield* Effect.all(Array.makeBy(3, () => connectClient({ ...options, url: first.url })))
      yield* untilAll(clients, "all have loaded", (client) => client.isSettled())
      clients[0]?.write("the first")
      yield* untilAll(clients, "all have it", (client) => client.isSettled() && client.list().length === 1)
      let items = 1
      for (const round of Array.range(1, 2)) {
        const server = round === 1 ? first : yield* spawnServer(database, { port })
        yield* untilAll(clients, "all are back", (client) => client.isSettledOnActive())
        const until = items + 10 + random.next(30)
        while (items < until) clients[items++ % 3]?.write(`item ${items}`)
        yield* clients[0]!.until("some of it is stored", () => clients[0]!.list().length > items - 5)
        yield* server.kill
        for (const client of clients) {
          client.write(`written offline in round ${round}`)
          items += 1
        }
      }
      yield* spawnServer(database, { port })
      yield* untilAll(clients, "all have all", (client) => client.isSettledOnActive() && client.list().length === items)
      for (const client of clients) {
        assert.deepStrictEqual(client.list(), clients[0]?.list())
        assert.deepStrictEqual(
          client.errors().filter((error) => error !== "SECSYNC_ERROR_214"),
          []
        )
      }
      const replayed = yield* runCommand(database, "replay")
      assert.strictEqual(replayed.exitCode, 0, replayed.stdout + replayed.stderr)
    })
  )
})
