/** Pruning while clients write, are behind, and return: no client loses anything. */
import { assert, describe, it } from "@effect/vitest"
import { LibraryId } from "@sealog/server/domain/Ids"
import { Array, Effect, Fiber } from "effect"
import { startProxy } from "../support/network/Proxy.ts"
import { connectClient, type SecsyncClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { assertSame } from "../support/secsync/writeTogether.ts"
import { runCommand } from "../support/servers/ServerProcess.ts"
import { randomName, startServer } from "../support/servers/TestServer.ts"

const prune = Effect.fnUntraced(function* (database: string, library: string) {
  const { exitCode, stdout, stderr } = yield* runCommand(database, "prune", library, "--older-than", "0s", "--yes")
  assert.strictEqual(exitCode, 0, stderr)
  return JSON.parse(stdout) as { readonly payloads: number }
})

const writeSettled = Effect.fnUntraced(function* (client: SecsyncClient, ...items: ReadonlyArray<string>) {
  client.write(...items)
  yield* client.until("it is stored", client.isSettled)
})

describe("pruning", () => {
  it.live("pruning keeps what connected, slow, returning and new clients need", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const proxy = yield* startProxy(server.url)
      const library = randomName()
      // Every client sends a snapshot for every change.
      const options = { documentId: randomName(), token: yield* server.token(library), snapshotEvery: 0 }
      const writer = yield* connectClient({ ...options, url: server.url })
      yield* writeSettled(writer, "one")
      const behind = yield* connectClient({ ...options, url: proxy.url })
      const returning = yield* connectClient({ ...options, url: server.url })
      yield* untilAll(
        [behind, returning],
        "both have one",
        (client) => client.isSettled() && client.list().length === 1
      )
      const known = returning.known()
      returning.disconnect()
      returning.write("written offline")
      proxy.stall()
      yield* writeSettled(writer, "two")
      yield* writeSettled(writer, "three")
      yield* writeSettled(writer, "four")
      behind.write("written while behind")

      assert.isAtLeast((yield* prune(server.database, library)).payloads, 3)
      assert.strictEqual((yield* prune(server.database, library)).payloads, 0)
      proxy.flow()
      returning.reconnect()
      const newcomer = yield* connectClient({ ...options, url: server.url })
      const stranger = yield* connectClient({ ...options, url: server.url, from: { doc: returning.doc, known } })
      const all = [writer, behind, returning, newcomer, stranger]
      yield* untilAll(all, "all have all", (client) => client.isSettledOnActive() && client.list().length === 6)
      assertSame([writer, behind, newcomer])
      assert.strictEqual(JSON.parse((yield* runCommand(server.database, "replay")).stdout).problemCount, 0)
    })
  )

  it.live("pruning several times while clients write loses nothing", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = randomName()
      const options = {
        ...{ url: server.url, documentId: randomName(), snapshotEvery: 5 },
        token: yield* server.token(library)
      }
      const clients = yield* Effect.all(Array.makeBy(3, () => connectClient(options)))
      yield* untilAll(clients, "all have loaded", (client) => client.isSettled())
      const pruning = yield* Effect.forkChild(
        Effect.forEach(Array.range(1, 4), () => prune(server.database, library), { discard: true })
      )
      let items = 0
      while (pruning.pollUnsafe() === undefined) {
        const client = clients[items % 3]!
        client.write(`item ${items}`)
        items += 1
        yield* client.until("its write is acknowledged", () => client.isSettled())
      }
      yield* Fiber.join(pruning)
      yield* untilAll(clients, "all have all", (client) => client.isSettledOnActive() && client.list().length === items)
      assertSame(clients)
      const { head } = yield* server.log.tail({
        libraryId: LibraryId.make(library),
        streamId: options.documentId
      })
      assert.isAbove(head.version, items / 5)
      assert.strictEqual(JSON.parse((yield* runCommand(server.database, "replay")).stdout).problemCount, 0)
    })
  )
})
