/** A network between server and database that swallows all bytes for a while, on connections that stay open. */
import { assert, describe, it } from "@effect/vitest"
import { LibraryId } from "@sealog/server/domain/Ids"
import { emptyHead, place, type StreamKey } from "@sealog/server/domain/Stream"
import { EventLog } from "@sealog/server/ports/EventLog"
import { ephemeralMessage, makeAuthor, snapshotMessage, updateMessage } from "@sealog/server/testing"
import { PgStorage } from "@sealog/storage-pg"
import { Context, Effect, Exit, Fiber, Layer, Option, Scope } from "effect"
import { vi } from "vitest"
import { connectRaw } from "../support/clients/RawSecsync.ts"
import { startBlackHole } from "../support/network/BlackHole.ts"
import { mintToken, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { makeCluster } from "../support/storage/PostgresCluster.ts"
import { until } from "../support/until.ts"

// A test starts its own Postgres, and waits for the server to give a commit up.
vi.setConfig({ testTimeout: 300_000 })

const DOCUMENT = "diary"
/** Documents that are opened at once, so that the server has all its connections to the database. */
const DOCUMENTS = 60

/** The URL of a cluster of its own, which is migrated. */
const migratedCluster = Effect.gen(function* () {
  const cluster = yield* Effect.acquireRelease(
    Effect.promise(() => makeCluster()),
    (cluster) => Effect.sync(cluster.remove)
  )
  yield* PgStorage.applyMigrations({ url: cluster.url })
  return new URL(cluster.url)
})

/** A server whose database is behind such a network, and how clients connect to it. */
const serverBehindBlackHole = Effect.gen(function* () {
  const url = yield* migratedCluster
  const database = url.href
  const network = yield* startBlackHole(Number(url.port))
  url.port = String(network.port)
  const server = yield* spawnServer(url.href)
  const options = { url: server.url, documentId: DOCUMENT, token: yield* mintToken(randomName()) }
  return { database, network, options, server }
})

describe("a server whose network to the database swallows all bytes", () => {
  it.live.each([
    ["before the server gives a commit up", false],
    ["after that", true]
  ] as const)("is not ready, gives its commit up, and goes on after the network is back, %s", ([_, isLong]) =>
    Effect.gen(function* () {
      const { network, options, server } = yield* serverBehindBlackHole
      const open = (i: number) => Effect.scoped(connectRaw({ ...options, documentId: `document-${i}` }))
      yield* Effect.forEach(Array(DOCUMENTS).keys(), open, { concurrency: "unbounded", discard: true })
      const author = makeAuthor()
      const writer = yield* connectRaw(options)
      const snapshot = snapshotMessage(author, { docId: DOCUMENT })
      writer.send(snapshot)
      yield* writer.next("snapshot-saved")
      const status = (path: string) =>
        Effect.promise(async () => (await fetch(`http://127.0.0.1:${server.port}${path}`)).status)

      network.swallow()
      const update = updateMessage(author, {
        ...{ docId: DOCUMENT, clock: 0 },
        refSnapshotId: snapshot.publicData.snapshotId
      })
      writer.send(update)
      yield* until(
        "the server is not ready",
        Effect.map(status("/readyz"), (status) => status === 503)
      )
      assert.strictEqual(yield* status("/livez"), 200)
      if (isLong) yield* writer.closed
      network.heal()
      const healedAt = performance.now()
      assert.strictEqual((yield* writer.closed).code, 1013)
      const again = yield* connectRaw(options)
      again.send(update)
      yield* again.next("update-saved")
      console.log(`Writes go on ${Math.round(performance.now() - healedAt)} ms after the network is back`)
      yield* until(
        "the server is ready",
        Effect.map(status("/readyz"), (status) => status === 200)
      )
    })
  )

  it.live("passes ephemeral messages to other servers again after the network is back", () =>
    Effect.gen(function* () {
      const { database, network, options } = yield* serverBehindBlackHole
      const other = yield* spawnServer(database)
      const [writer, reader] = [yield* connectRaw(options), yield* connectRaw({ ...options, url: other.url })]
      const author = makeAuthor()
      const heard = () => reader.frames.filter(({ type }) => type === "ephemeral-message").length
      const say = Effect.sync(() => writer.send(ephemeralMessage(author, { docId: DOCUMENT })))
      const untilHeard = (when: string) => {
        const before = heard()
        return until(
          `the other server passes a message on, ${when}`,
          Effect.andThen(
            say,
            Effect.sync(() => heard() > before)
          )
        )
      }
      yield* untilHeard("before")
      network.swallow()
      yield* until(
        "a signal is swallowed",
        Effect.andThen(
          say,
          Effect.sync(() => network.swallowed() > 0)
        )
      )
      network.heal()
      yield* untilHeard("after the network is back")
    })
  )

  it.live("ends when it is told to, whether the network heals or not", () =>
    Effect.gen(function* () {
      const { network, options, server } = yield* serverBehindBlackHole
      const author = makeAuthor()
      const writer = yield* connectRaw(options)
      network.swallow()
      writer.send(snapshotMessage(author, { docId: DOCUMENT }))
      yield* server.stop
      assert.strictEqual(writer.frames.filter(({ type }) => type === "snapshot-saved").length, 0)
    })
  )

  it.live("gives up a stream that it holds when the end of the transaction is swallowed", () =>
    Effect.gen(function* () {
      const url = yield* migratedCluster
      const outer = yield* Scope.make()
      const network = yield* Scope.provide(startBlackHole(Number(url.port)), outer)
      url.port = String(network.port)
      // It closes after the network, with which the connection of the transaction ends.
      const pool = yield* Scope.make()
      const layer = PgStorage.layerWithoutMigrations({ url: url.href })
      const log = Context.get(yield* Layer.buildWithScope(layer, pool), EventLog)
      const key: StreamKey = { libraryId: LibraryId.make("library"), streamId: "stream" }
      const event = place(
        key,
        emptyHead,
        { type: "Pruned", data: { before: 1 }, payloadHash: "", checkpoint: false },
        "test",
        0
      )
      yield* log.append([{ key, expectedVersion: 0, events: [{ event, payload: null }] }])
      const holding = yield* Effect.forkChild(Effect.flip(log.exclusively(key, Effect.sync(network.swallow))))
      yield* until("it is given up", () => holding.pollUnsafe() !== undefined)
      assert.strictEqual((yield* Fiber.join(holding))._tag, "StorageUnavailable")
      network.heal()
      yield* until(
        "the log can be read again",
        Effect.map(Effect.option(log.heads([key])), (heads) => Option.getOrUndefined(heads)?.[0]?.version === 1)
      )
      yield* Scope.close(outer, Exit.void)
      yield* Scope.close(pool, Exit.void)
    })
  )
})
