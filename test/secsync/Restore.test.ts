/** A log that was restored from an older backup: real clients bring back what they hold. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { connectClient, type SecsyncClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { mintToken, runCommand } from "../support/servers/ServerProcess.ts"
import { randomName, startServer } from "../support/servers/TestServer.ts"
import { keepRows } from "../support/storage/backups.ts"
import { freshStorage } from "../support/storage/databases.ts"

const assertInOrder = Effect.fnUntraced(function* (database: string) {
  const { exitCode, stdout, stderr } = yield* runCommand(database, "replay")
  assert.strictEqual(exitCode, 0, stdout + stderr)
})

/** Waits until a client has everything and has nothing more to send, and a newcomer sees the same. */
const untilNewcomerSees = Effect.fnUntraced(function* (
  clients: ReadonlyArray<SecsyncClient>,
  options: { readonly url: string; readonly documentId: string; readonly token: string },
  items: ReadonlyArray<string>
) {
  const isSame = (client: SecsyncClient) => client.list().toSorted().join() === items.toSorted().join()
  yield* untilAll(clients, "all have all", (client) => client.isSettledOnActive() && isSame(client))
  const newcomer = yield* connectClient(options)
  yield* untilAll(
    [...clients, newcomer],
    "a newcomer has all",
    (client) => client.isSettledOnActive() && isSame(client)
  )
})

describe("a log that was restored under a running server", () => {
  it.live("two clients that know updates that the log lost bring them back, and a newcomer sees all of them", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const { database, url } = server
      const options = { url, documentId: randomName(), token: yield* server.token(randomName()) }
      const clients = [yield* connectClient(options), yield* connectClient(options)]
      const [a, b] = [clients[0]!, clients[1]!]
      a.write("a, in the backup")
      yield* untilAll(clients, "both have it", (client) => client.isSettled() && client.list().length === 1)
      b.write("b, in the backup")
      yield* untilAll(clients, "both have both", (client) => client.isSettled() && client.list().length === 2)
      const putBack = yield* keepRows(database)
      a.write("a, after the backup")
      b.write("b, after the backup")
      yield* untilAll(clients, "both have all", (client) => client.isSettled() && client.list().length === 4)
      const connections = clients.map((client) => client.connections())
      yield* putBack

      yield* untilNewcomerSees(clients, options, [
        ...["a, in the backup", "b, in the backup", "a, after the backup", "b, after the backup"]
      ])
      a.write("a, later")
      yield* untilAll(clients, "they go on", (client) => client.isSettledOnActive() && client.list().length === 5)
      for (const [i, client] of clients.entries()) {
        assert.strictEqual(client.connections(), connections[i]! + 1)
        assert.strictEqual(client.state(), "connected")
      }
      yield* assertInOrder(database)
    })
  )

  it.live("a client brings back a snapshot that the log lost, with the updates to it", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const { database, url } = server
      const options = { url, documentId: randomName(), token: yield* server.token(randomName()), snapshotEvery: 3 }
      const clients = [yield* connectClient(options), yield* connectClient(options)]
      const [a] = [clients[0]!]
      a.write("0")
      yield* untilAll(clients, "both have it", (client) => client.isSettled() && client.list().length === 1)
      const putBack = yield* keepRows(database)
      const before = a.activeSnapshotId()
      const items = Array.from({ length: 10 }, (_, i) => String(i))
      for (const item of items.slice(1)) {
        a.write(item)
        yield* untilAll(
          clients,
          `both have ${item}`,
          (client) => client.isSettledOnActive() && client.list().includes(item)
        )
      }
      assert.notStrictEqual(a.activeSnapshotId(), before)
      const connections = clients.map((client) => client.connections())
      yield* putBack
      yield* untilAll(
        clients,
        "they are back",
        (client) => client.connections() > connections[clients.indexOf(client)]!
      )
      yield* untilNewcomerSees(clients, options, items)
      yield* assertInOrder(database)
    })
  )
})

describe("a log that was restored while the server was stopped", () => {
  it.live("a client with lost updates brings them back; one with a lost snapshot waits for `sync-admin restored`", () =>
    Effect.gen(function* () {
      const database = yield* freshStorage
      const token = yield* mintToken(randomName())
      const scope = yield* Scope.make()
      const { port, url } = yield* Scope.provide(startServer({ database }), scope)
      const documents = [randomName(), randomName()]
      const [updates, snapshots] = [
        yield* connectClient({ url, token, documentId: documents[0]! }),
        yield* connectClient({ url, token, documentId: documents[1]!, snapshotEvery: 3 })
      ]
      const clients = [updates, snapshots]
      for (const client of clients) client.write("0")
      yield* untilAll(clients, "it is stored", (client) => client.isSettled() && client.list().length === 1)
      const putBack = yield* keepRows(database)
      const items = Array.from({ length: 8 }, (_, i) => String(i))
      for (const item of items.slice(1)) {
        for (const client of clients) client.write(item)
        yield* untilAll(clients, `${item} is stored`, (client) => client.isSettledOnActive())
      }
      yield* Scope.close(scope, Exit.void)
      yield* putBack
      yield* startServer({ database, port })
      yield* untilNewcomerSees([updates], { url, token, documentId: documents[0]! }, items)

      snapshots.write("written while it waits")
      yield* snapshots.until("it is connected", () => snapshots.state() === "connected")
      const connections = snapshots.connections()
      const { exitCode, stdout } = yield* runCommand(database, "restored", "--as", "ada")
      assert.strictEqual(exitCode, 0)
      assert.strictEqual(JSON.parse(stdout).epoch, 2)
      yield* untilNewcomerSees([snapshots], { url, token, documentId: documents[1]! }, [
        ...items,
        "written while it waits"
      ])
      assert.isAtMost(snapshots.connections(), connections + 2)
      yield* assertInOrder(database)
    })
  )
})
