/** Several servers on one database act as one server to their clients. */
import { assert, describe, it } from "@effect/vitest"
import { LibraryId } from "@sealog/server/domain/Ids"
import { ephemeralMessage, makeAuthor } from "@sealog/server/testing"
import { Array, Deferred, Effect, Fiber, Ref, Schedule } from "effect"
import { vi } from "vitest"
import { connectRaw, type RawSecsync, type ServerFrame } from "../support/clients/RawSecsync.ts"
import { makeRandom } from "../support/random.ts"
import { connectClient, nextTurn, untilAll } from "../support/secsync/SecsyncClient.ts"
import { assertStored, begin, makeWriter, writeOn } from "../support/secsync/Writers.ts"
import { assertSame, writeTogether } from "../support/secsync/writeTogether.ts"
import { mintToken, runCommand, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { freshStorage } from "../support/storage/databases.ts"

// Each test runs several server processes, most of them several times.
vi.setConfig({ testTimeout: 600_000 })

const RUNS = 20

const startServers = Effect.fnUntraced(function* (count: number) {
  const database = yield* freshStorage
  const servers = yield* Effect.all(
    Array.makeBy(count, () => spawnServer(database)),
    { concurrency: count }
  )
  return { database, servers, urls: servers.map(({ url }) => url) }
})

/** Asserts that `replay` finds no problem. */
const assertInOrder = Effect.fnUntraced(function* (database: string) {
  const { exitCode, stdout, stderr } = yield* runCommand(database, "replay")
  assert.strictEqual(exitCode, 0, stdout + stderr)
})

/** Waits until every reader has received every update of a document. Servers may still be storing the last ones. */
const untilAllReceived = (
  database: string,
  libraryId: string,
  documentId: string,
  readers: ReadonlyArray<RawSecsync>
) =>
  Effect.gen(function* () {
    const shown = JSON.parse((yield* runCommand(database, "document", "show", libraryId, documentId)).stdout)
    const stored: number = shown.updates
    yield* Effect.forEach(readers, (reader) => reader.next("update", () => updatesOf(reader).length >= stored))
    return readers.every((reader) => updatesOf(reader).length === stored)
  }).pipe(Effect.repeat({ until: (haveAll) => haveAll }))

/** Author and clock of the updates that a client received, in its order. */
const updatesOf = ({ frames }: RawSecsync) =>
  frames
    .filter(({ type }) => type === "update")
    .map(({ publicData }) => publicData as { readonly pubKey: string; readonly clock: number })

const authorOf = ({ publicData }: ServerFrame) => (publicData as { readonly pubKey: string } | undefined)?.pubKey

for (const count of [2, 3]) {
  describe(`${count} processes`, () => {
    it.live(`clients converge in ${RUNS} of ${RUNS} runs`, () =>
      Effect.gen(function* () {
        const { database, urls } = yield* startServers(count)
        const run = Effect.fnUntraced(function* (number: number) {
          // Each run starts with another process.
          const turned = [...urls.slice(number % count), ...urls.slice(0, number % count)]
          yield* writeTogether(turned, yield* mintToken(randomName()), `run ${number}`)
        }, Effect.scoped)
        yield* Effect.forEach(Array.range(1, RUNS), run, { concurrency: 2 })
        yield* assertInOrder(database)
      })
    )

    it.live("every connection receives each event once and in one order", () =>
      Effect.gen(function* () {
        const { database, urls } = yield* startServers(count)
        const libraryId = LibraryId.make(randomName())
        const token = yield* mintToken(libraryId)
        const documentId = randomName()
        yield* begin(urls[0]!, documentId, token)
        const readers = yield* Effect.forEach([...urls, ...urls], (url) => connectRaw({ url, documentId, token }))
        const writers = urls.map(() => makeWriter(documentId))
        yield* Effect.scoped(
          Effect.gen(function* () {
            const done = yield* Deferred.make<void>()
            const onAcknowledged = () => {
              if (writers.every(({ acknowledged }) => acknowledged > 150)) Deferred.doneUnsafe(done, Effect.void)
            }
            yield* Effect.forEach(writers, (writer, i) => writeOn(urls[i]!, writer, token, onAcknowledged))
            yield* Deferred.await(done)
          })
        )
        yield* assertStored(database, libraryId, writers, "all of it")
        yield* untilAllReceived(database, libraryId, documentId, readers)
        for (const reader of readers) assert.deepStrictEqual(updatesOf(reader), updatesOf(readers[0]!))
        const received = new Set(updatesOf(readers[0]!).map(({ clock, pubKey }) => `${pubKey} ${clock}`))
        assert.strictEqual(received.size, updatesOf(readers[0]!).length)
      })
    )

    it.live("ephemeral messages reach the clients of the other processes", () =>
      Effect.gen(function* () {
        const { urls } = yield* startServers(count)
        const token = yield* mintToken(randomName())
        const documentId = randomName()
        yield* begin(urls[0]!, documentId, token)
        const clients = yield* Effect.forEach(urls, (url) => connectRaw({ url, documentId, token }))
        const authors = clients.map(() => makeAuthor())
        // A client that is still loading its document may miss a message, so the messages repeat.
        const sending = Effect.sync(() => {
          for (const [i, client] of clients.entries()) client.send(ephemeralMessage(authors[i]!, { docId: documentId }))
        })
        yield* Effect.forkScoped(Effect.repeat(sending, Schedule.spaced("50 millis")))
        for (const [i, client] of clients.entries()) {
          for (const other of authors.filter((author) => author !== authors[i])) {
            yield* client.next("ephemeral-message", (frame) => authorOf(frame) === other.pubKey)
          }
          assert.isFalse(client.frames.some((frame) => authorOf(frame) === authors[i]!.pubKey))
        }
        // A replay on another process is not relayed either.
        const [first, second] = [clients[0]!, clients[1]!]
        const [sent, last] = [0, 1].map((i) => ephemeralMessage(authors[i]!, { docId: documentId }))
        const arrival = (client: RawSecsync, { signature }: { readonly signature: string }) =>
          client.next("ephemeral-message", (frame) => frame["signature"] === signature)
        first.send(sent!)
        yield* arrival(second, sent!)
        second.send(sent!)
        second.send(last!)
        yield* arrival(first, last!)
        assert.isFalse(first.frames.some((frame) => frame["signature"] === sent!.signature))
      })
    )

    it.live("clients of every process restore a library that the command line evicts", () =>
      Effect.gen(function* () {
        const { database, urls } = yield* startServers(count)
        const library = randomName()
        const options = { documentId: randomName(), token: yield* mintToken(library) }
        const clients = yield* Effect.forEach(urls, (url) => connectClient({ url, ...options }))
        yield* untilAll(clients, "all have loaded", (client) => client.isSettled())
        for (const [i, client] of clients.entries()) client.write(`client ${i}`)
        yield* untilAll(clients, "all have it", (client) => client.isSettled() && client.list().length === count)
        const evicted = clients[0]?.activeSnapshotId()
        assert.strictEqual((yield* runCommand(database, "evict", library, "--yes")).exitCode, 0)
        yield* untilAll(
          clients,
          "it is restored",
          (client) => client.isSettled() && client.activeSnapshotId() !== evicted && client.list().length === count
        )
        assertSame(clients)
        yield* assertInOrder(database)
      })
    )

    it.live("clients lose nothing when one process is killed several times", () =>
      Effect.gen(function* () {
        const random = makeRandom()
        console.log(`killed processes with TEST_SEED=${random.seed}`)
        const { database, servers, urls } = yield* startServers(count)
        const libraryId = LibraryId.make(randomName())
        const token = yield* mintToken(libraryId)
        const documentId = randomName()
        yield* begin(urls[0]!, documentId, token)
        const reader = yield* connectRaw({ url: urls[1]!, documentId, token })
        const writers = urls.map(() => makeWriter(documentId))
        const first = yield* Ref.make(servers[0]!)
        for (const round of Array.range(1, 3)) {
          yield* Effect.scoped(
            Effect.gen(function* () {
              const server = yield* Ref.get(first)
              const enough = yield* Deferred.make<void>()
              let left = 30 + random.next(200)
              const onAcknowledged = () => {
                left -= 1
                if (left === 0) Deferred.doneUnsafe(enough, Effect.void)
              }
              yield* Effect.forEach(writers, (writer, i) =>
                writeOn(i === 0 ? server.url : urls[i]!, writer, token, onAcknowledged)
              )
              yield* Deferred.await(enough)
              yield* server.kill
            })
          )
          yield* assertStored(database, libraryId, writers, `round ${round}, seed ${random.seed}`)
          yield* Ref.set(first, yield* spawnServer(database))
        }
        // A client of another process received every update, also those that the killed process stored but did not fan out.
        yield* untilAllReceived(database, libraryId, documentId, [reader])
        const received = new Set(updatesOf(reader).map(({ clock, pubKey }) => `${pubKey} ${clock}`))
        assert.strictEqual(received.size, updatesOf(reader).length)
        yield* assertInOrder(database)
      })
    )
  })
}

describe("a rolling restart", () => {
  it.live("every client goes on through a rolling restart under load, and loses nothing", () =>
    Effect.gen(function* () {
      const { database, servers, urls } = yield* startServers(2)
      const options = { documentId: randomName(), token: yield* mintToken(randomName()), snapshotEvery: 50 }
      const clients = yield* Effect.forEach([...urls, ...urls], (url) => connectClient({ url, ...options }))
      yield* untilAll(clients, "all have loaded", (client) => client.isSettled())
      let items = 0
      const isOver = yield* Deferred.make<void>()
      const writing = yield* Effect.forkChild(
        Effect.gen(function* () {
          while (!(yield* Deferred.isDone(isOver))) {
            // Bounds the lead over the slowest client, however slow the machine is.
            if (items - Math.min(...clients.map((client) => client.list().length)) < 200) {
              clients[items % clients.length]?.write(`item ${items}`)
              items += 1
            }
            yield* Effect.sleep("5 millis")
          }
        })
      )
      for (const server of servers) {
        yield* server.stop
        const back = items
        yield* spawnServer(database, { port: server.port })
        yield* untilAll(clients, "all are back", (client) => client.list().length > back)
        yield* nextTurn
      }
      yield* Deferred.succeed(isOver, undefined)
      yield* Fiber.join(writing)
      yield* untilAll(clients, "all have all", (client) => client.isSettledOnActive() && client.list().length === items)
      for (const client of clients) assert.deepStrictEqual(client.list(), clients[0]?.list())
      yield* assertInOrder(database)
    })
  )
})
