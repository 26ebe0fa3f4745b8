/** A standby by the built binary: under load, after the primary was killed, and when a log moves with its clients connected. */
import { assert, describe, it } from "@effect/vitest"
import { LibraryId } from "@sealog/server/domain/Ids"
import { Effect } from "effect"
import { vi } from "vitest"
import { connectClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { assertStored, begin, makeWriter, writeOn } from "../support/secsync/Writers.ts"
import { startReplicating } from "../support/servers/Replicating.ts"
import { mintToken, runCommand, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { freshStorage, storages } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"

// Each test starts several processes.
vi.setConfig({ testTimeout: 600_000 })

const succeed = Effect.fnUntraced(function* (database: string, ...args: ReadonlyArray<string>) {
  const { exitCode, stdout, stderr } = yield* runCommand(database, ...args)
  assert.strictEqual(exitCode, 0, stdout + stderr)
  return JSON.parse(stdout)
})

describe.each(storages)("a standby on $name", ({ fresh }) => {
  it.live("holds all that was acknowledged and copied, is refused until it is promoted, and then goes on", () =>
    Effect.gen(function* () {
      const [database, standby] = [yield* freshStorage, yield* fresh]
      const libraryId = LibraryId.make(randomName())
      const token = yield* mintToken(libraryId)
      const documentId = randomName()
      const writers = [documentId, documentId].map(makeWriter)
      const server = yield* spawnServer(database)
      yield* begin(server.url, documentId, token)
      const replicating = yield* startReplicating(database, standby)
      yield* Effect.forEach(writers, (writer) => writeOn(server.url, writer, token))
      const copied = replicating.metric("sealog_standby_events_total")
      yield* until(
        "it has copied some",
        Effect.map(copied, (events) => events > 200)
      )
      // A standby that is killed goes on where it was.
      yield* replicating.end("SIGKILL")
      const again = yield* startReplicating(database, standby)
      const acknowledged = writers.map((writer) => ({ ...writer }))
      const total = 1 + acknowledged.reduce((sum, writer) => sum + writer.acknowledged, 0)
      const held = Effect.map(runCommand(standby, "stats"), ({ stdout }) => JSON.parse(stdout).events as number)
      yield* until(
        "it holds what was acknowledged before",
        Effect.map(held, (events) => events > total)
      )
      yield* server.kill
      yield* again.end("SIGKILL")

      const refused = yield* runCommand(standby, "serve", "--port", "0")
      assert.strictEqual(JSON.parse(refused.stdout).error.code, "LOG_IS_STANDBY")
      assert.deepInclude(yield* succeed(standby, "promote", "--as", "ada"), { epoch: 2 })
      yield* assertStored(standby, libraryId, acknowledged, "promoted")
      assert.deepInclude(yield* succeed(standby, "replay"), { problemCount: 0 })
      const ended = yield* runCommand(database, "replicate", "--to", standby)
      assert.strictEqual(JSON.parse(ended.stdout).error.code, "NOT_A_STANDBY")
      const next = yield* spawnServer(standby)
      const client = yield* connectClient({ url: next.url, documentId: randomName(), token })
      client.write("after the failover")
      yield* client.until("it is stored", () => client.isSettled() && client.list().length === 1)
    })
  )

  it.live("takes over a log with its clients connected, which lose nothing", () =>
    Effect.gen(function* () {
      const [database, standby] = [yield* freshStorage, yield* fresh]
      const [documentId, token] = [randomName(), yield* mintToken(randomName())]
      const server = yield* spawnServer(database)
      const clients = yield* Effect.forEach([0, 1, 2], () => connectClient({ url: server.url, documentId, token }))
      clients[0]!.write("0")
      yield* untilAll(clients, "all have it", (client) => client.isSettled() && client.list().length === 1)
      const replicating = yield* startReplicating(database, standby)
      let items = 1
      const write = () => {
        for (const client of clients) client.write(String(items++))
      }
      for (let round = 0; round < 20; round++) {
        write()
        yield* clients[0]!.until("some are stored", () => clients[0]!.list().length > items - 10)
      }
      // The servers stop, and clients keep what they write. The command copies the rest, and ends.
      yield* server.stop
      write()
      const { code, output } = yield* replicating.end("SIGTERM")
      assert.strictEqual(code, 0, output)
      write()
      yield* succeed(standby, "promote")
      yield* spawnServer(standby, { port: server.port })
      yield* untilAll(clients, "all have all", (client) => client.isSettledOnActive() && client.list().length === items)
      const newcomer = yield* connectClient({ url: server.url, documentId, token })
      yield* newcomer.until("a newcomer has all", () => newcomer.list().length === items)
      for (const client of clients) assert.deepStrictEqual(client.list(), newcomer.list())
      assert.deepInclude(yield* succeed(standby, "replay"), { problemCount: 0 })
    })
  )
})
