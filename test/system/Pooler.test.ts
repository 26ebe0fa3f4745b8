/** Servers whose connections to Postgres go through a pooler. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { LibraryId } from "@sealog/server/domain/Ids"
import { emptyHead, type NewEvent, place } from "@sealog/server/domain/Stream"
import { EventLog } from "@sealog/server/ports/EventLog"
import { PgStorage } from "@sealog/storage-pg"
import { Context, Effect, Layer } from "effect"
import { inject, vi } from "vitest"
import { freePort } from "../support/network/freePort.ts"
import { connectClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { mintToken, runCommand, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { freshDatabase } from "../support/storage/databases.ts"
import { runProgram } from "./Binary.ts"

vi.setConfig({ testTimeout: 600_000 })

/** Starts PgBouncer before the tests' Postgres, with some sessions for each database. Returns a database's URL through it. */
const startPooler = Effect.fnUntraced(function* (mode: "session" | "transaction", sessions = 30) {
  const postgres = new URL(inject("postgresUrl"))
  const port = yield* Effect.promise(freePort)
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "sealog-pooler-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  const file = join(folder, "pgbouncer.ini")
  writeFileSync(
    file,
    `[databases]
* = host=127.0.0.1 port=${postgres.port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
default_pool_size = ${sessions}
`
  )
  chmodSync(folder, 0o755)
  yield* runProgram("pgbouncer", [...(process.getuid?.() === 0 ? ["-u", "nobody"] : []), file], port)
  return (database: string): string => {
    const url = new URL(database)
    url.port = String(port)
    return url.href
  }
})

/** Two clients write to one document by way of two servers, and each receives everything. */
const writeThrough = Effect.fnUntraced(function* (database: string, args: ReadonlyArray<string> = []) {
  const start = spawnServer(database, { args })
  const servers = yield* Effect.all([start, start], { concurrency: 2 })
  const token = yield* mintToken(randomName())
  const documentId = randomName()
  const clients = yield* Effect.forEach(servers, ({ url }) => connectClient({ url, documentId, token }))
  yield* untilAll(clients, "both have loaded", (client) => client.isSettled())
  for (let i = 0; i < 20; i++) clients[i % 2]!.write(`item ${i}`)
  yield* untilAll(clients, "both have all", (client) => client.isSettledOnActive() && client.list().length === 20)
  const { exitCode, stderr } = yield* runCommand(database, "replay")
  assert.strictEqual(exitCode, 0, stderr)
})

describe("a pooler in session mode", () => {
  it.live("carries everything", () =>
    Effect.gen(function* () {
      const through = yield* startPooler("session")
      yield* writeThrough(through(yield* freshDatabase))
    })
  )
})

describe("a pooler in transaction mode", () => {
  it.live("is noticed: a server does not start, and says how it would", () =>
    Effect.gen(function* () {
      const through = yield* startPooler("transaction")
      const url = through(yield* freshDatabase)
      const refused = yield* Effect.flip(Effect.scoped(Layer.build(PgStorage.layerWithoutMigrations({ url }))))
      assert.include(refused.message, "a pooler in transaction mode")
      assert.include(refused.message, "?pgbouncer=true")
    })
  )

  it.live("carries a log whose URL says so, also with fewer sessions than the server has connections", () =>
    Effect.gen(function* () {
      const through = yield* startPooler("transaction", 3)
      const url = `${through(yield* freshDatabase)}?pgbouncer=true`
      const log = Context.get(yield* Layer.build(PgStorage.layerWithoutMigrations({ url })), EventLog)
      const payload = new TextEncoder().encode("sealed")
      const update: NewEvent = { type: "UpdateStored", data: {}, payloadHash: blake2b256(payload), checkpoint: false }
      const heads = yield* Effect.forEach(
        Array.from({ length: 100 }, (_, i) => `stream-${i}`),
        (streamId) =>
          Effect.gen(function* () {
            const key = { libraryId: LibraryId.make("notes"), streamId }
            const event = place(key, emptyHead, update, "test", 1)
            yield* log.append([{ key, expectedVersion: 0, events: [{ event, payload }] }])
            yield* log.tail(key)
            return yield* log.exclusively(key, log.heads([key]))
          }),
        { concurrency: 30 }
      )
      assert.isTrue(heads.flat().every(({ version }) => version === 1))
    })
  )

  it.live("carries two servers that hear of each other by Redis", () =>
    Effect.gen(function* () {
      const through = yield* startPooler("transaction")
      const port = yield* Effect.promise(freePort)
      yield* runProgram("redis-server", ["--port", String(port), "--save", ""], port)
      yield* writeThrough(`${through(yield* freshDatabase)}?pgbouncer=true`, ["--signals", `redis://127.0.0.1:${port}`])
    })
  )
})
