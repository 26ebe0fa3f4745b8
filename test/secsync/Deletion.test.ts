/** A deletion for good: payloads go at once, on every server, and no client brings them back. */
import { assert, describe, it } from "@effect/vitest"
import { deleteForGood } from "@sealog/server/admin/Deletion"
import { DocumentId, LibraryId } from "@sealog/server/domain/Ids"
import { DELETED } from "@sealog/server/domain/Stream"
import { EventLog } from "@sealog/server/ports/EventLog"
import { makeAuthor, snapshotMessage } from "@sealog/server/testing"
import { Array, Context, Deferred, Effect, Fiber, Layer } from "effect"
import { inject } from "vitest"
import { connectRaw } from "../support/clients/RawSecsync.ts"
import { makeRandom } from "../support/random.ts"
import { connectClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { begin, makeWriter, writeOn as writeUpdatesOn } from "../support/secsync/Writers.ts"
import { mintToken, runCommand, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { freshStorage, layerOf } from "../support/storage/databases.ts"

/** Starts two servers on Postgres, and one on SQLite, which serves one process. */
const startServers = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
  const database = yield* freshStorage
  const count = inject("storage") !== "SQLite" ? 2 : 1
  const servers = yield* Effect.all(
    Array.makeBy(count, () => spawnServer(database, { args })),
    { concurrency: count }
  )
  return { database, urls: servers.map(({ url }) => url) }
})

const run = Effect.fnUntraced(function* (database: string, ...args: ReadonlyArray<string>) {
  const { exitCode, stdout, stderr } = yield* runCommand(database, ...args)
  assert.strictEqual(exitCode, 0, stdout + stderr)
  return JSON.parse(stdout)
})

/** The payloads that the log still holds of a library. */
const payloadsOf = (database: string, libraryId: string) =>
  Effect.gen(function* () {
    const log = yield* EventLog
    const streams = yield* log.streams({ libraryId: LibraryId.make(libraryId), limit: 100 })
    return streams.reduce((sum, { payloads }) => sum + payloads, 0)
  }).pipe(Effect.provide(layerOf(database)), Effect.orDie)

/** Clients on every server, which have written and share one document. */
const writeOn = Effect.fnUntraced(function* (urls: ReadonlyArray<string>, documentId: string, token: string) {
  const clients = yield* Effect.forEach(urls, (url) => connectClient({ url, documentId, token }))
  for (const [i, client] of clients.entries()) {
    yield* client.until("it has loaded", client.isSettled)
    client.write(`of ${i}`)
    yield* untilAll(clients, "all have it", (client) => client.isSettled() && client.list().length === i + 1)
  }
  return clients
})

describe("deletion for good", () => {
  it.live("a deleted document closes its clients on every server, and they cannot bring it back", () =>
    Effect.gen(function* () {
      const { database, urls } = yield* startServers()
      const [library, documentId, other] = [randomName(), "team/notes", randomName()]
      const token = yield* mintToken(library)
      const clients = yield* writeOn(urls, documentId, token)
      const others = yield* writeOn(urls, other, token)
      const raw = yield* connectRaw({ url: urls[0]!, documentId, token })

      const planned = yield* run(database, "delete", library, "--document", documentId, "--dry-run")
      assert.strictEqual(planned.documents[0].documentId, documentId)
      assert.isAbove(planned.payloadBytes, 0)
      const deleted = yield* run(database, "delete", library, "--document", documentId, "--yes", "--as", "ada")
      assert.deepStrictEqual(deleted.documents, planned.documents)
      assert.strictEqual((yield* raw.closed).code, 4404)
      yield* untilAll(clients, "they hear it", (client) => client.state() === "noAccess")
      for (const client of clients) client.reconnect()
      const devices = yield* Effect.forEach(urls, (url, i) =>
        connectClient({ url, documentId, token, from: { doc: clients[i]!.doc, known: clients[i]!.known() } })
      )
      yield* untilAll(devices, "they are refused", (client) => client.state() === "noAccess")
      const again = yield* connectRaw({ url: urls[0]!, documentId, token })
      assert.strictEqual(again.first.type, "document-not-found")
      assert.strictEqual((yield* again.closed).code, 4404)

      others[0]!.write("goes on")
      yield* untilAll(others, "the other document goes on", (client) => client.list().includes("goes on"))
      const replayed = yield* run(database, "replay", "--library", library)
      assert.strictEqual(replayed.problemCount, 0)
      const events = yield* run(database, "events", library, documentId)
      assert.isTrue(
        events.events.every(({ purged, type }: { purged: boolean; type: string }) => purged || type === "Deleted")
      )
      assert.strictEqual(events.events.at(-1).type, "Deleted")
      const administration = yield* run(database, "events", library, "@library")
      assert.strictEqual(administration.events.at(-1).data.operator, "ada")
      assert.deepStrictEqual((yield* run(database, "delete", library, "--document", documentId, "--yes")).documents, [])

      yield* run(database, "delete", library, "--document", documentId, "--allow-again")
      const device = yield* connectClient({ url: urls.at(-1)!, documentId, token })
      yield* device.until("it has loaded", device.isSettled)
      assert.deepStrictEqual(device.list(), [])
      device.write("a new one")
      yield* device.until("it is stored", device.isSettled)
      assert.strictEqual((yield* run(database, "replay", "--library", library)).problemCount, 0)
    })
  )

  it.live("a deleted library closes all its clients, and admits no client under its name", () =>
    Effect.gen(function* () {
      const { database, urls } = yield* startServers()
      const [library, neighbour] = [randomName(), randomName()]
      const token = yield* mintToken(library)
      const clients = yield* writeOn(urls, "welcome", token)
      const others = yield* writeOn(urls, "welcome", yield* mintToken(neighbour))
      // A client on a document that does not exist yet.
      const empty = yield* connectRaw({ url: urls[0]!, documentId: "empty", token })
      const deleted = yield* run(database, "delete", library, "--yes", "--reason", "account closed")
      assert.deepStrictEqual(
        deleted.documents.map(({ documentId }: { documentId: string }) => documentId),
        ["welcome"]
      )
      yield* untilAll(clients, "they hear it", (client) => client.state() === "noAccess")
      assert.strictEqual((yield* empty.closed).code, 4404)
      for (const documentId of ["welcome", randomName()]) {
        const refused = yield* connectRaw({ url: urls.at(-1)!, documentId, token })
        assert.strictEqual(refused.first.type, "document-not-found")
        assert.strictEqual((yield* refused.closed).code, 4404)
      }
      assert.strictEqual(yield* payloadsOf(database, library), 0)
      others[0]!.write("goes on")
      yield* untilAll(others, "the neighbour goes on", (client) => client.list().includes("goes on"))
      assert.strictEqual((yield* run(database, "replay")).problemCount, 0)

      // The history goes to another database, and the library is deleted there as well.
      const copy = yield* freshStorage
      yield* run(database, "replay", "--library", library, "--to", copy)
      const there = yield* spawnServer(copy)
      const refused = yield* connectRaw({ url: there.url, documentId: "welcome", token })
      assert.strictEqual(refused.first.type, "document-not-found")

      yield* run(database, "delete", library, "--allow-again")
      yield* writeOn(urls, "welcome", token)
    })
  )

  it.live("where clients make no documents, a document is made by a command", () =>
    Effect.gen(function* () {
      const { database, urls } = yield* startServers("--no-create-documents")
      const [library, documentId] = [randomName(), "team/notes"]
      const token = yield* mintToken(library)
      const early = yield* connectClient({ url: urls[0]!, documentId, token })
      yield* early.until("it is refused", () => early.state() === "noAccess")
      assert.deepStrictEqual(yield* run(database, "document", "create", library, documentId, "--new-library"), {
        ...{ libraryId: library, documentId, created: true }
      })
      const clients = yield* writeOn(urls, documentId, token)
      assert.isFalse((yield* run(database, "document", "create", library, documentId)).created)
      yield* run(database, "evict", library, "--yes")
      yield* untilAll(clients, "it is restored", (client) => client.isSettled() && client.list().length === urls.length)
      yield* run(database, "delete", library, "--document", documentId, "--yes")
      const refused = yield* runCommand(database, "document", "create", library, documentId)
      assert.strictEqual(JSON.parse(refused.stdout).error.code, "DOCUMENT_DELETED")
      yield* run(database, "delete", library, "--document", documentId, "--allow-again")
      const before = yield* connectRaw({ url: urls[0]!, documentId, token })
      assert.strictEqual(before.first.type, "document-not-found")
      yield* run(database, "document", "create", library, documentId)
      yield* writeOn(urls, documentId, token)
      assert.strictEqual((yield* run(database, "replay")).problemCount, 0)
    })
  )
})

/** Documents that are deleted while clients write to them, and of those that are deleted while a client begins them. */
const [ROUNDS, BEGUN] = [20, 20] as const

describe("a write beside a deletion", () => {
  it.live("is stored before the deletion, or is not acknowledged", () =>
    Effect.gen(function* () {
      const random = makeRandom()
      console.log(`Writes beside deletions with TEST_SEED=${random.seed}`)
      const { database, urls } = yield* startServers()
      const libraryId = LibraryId.make(randomName())
      const token = yield* mintToken(libraryId)
      const services = yield* Effect.orDie(Layer.build(layerOf(database)))
      const log = Context.get(services, EventLog)
      const remove = (documentId: string) =>
        deleteForGood({ libraryId, documentId: DocumentId.make(documentId) }).pipe(
          Effect.provide(services),
          Effect.orDie
        )
      const eventsOf = Effect.fnUntraced(function* (streamId: string) {
        const placed = yield* Effect.orDie(log.read({ libraryId, streamId }, { after: 0 }))
        assert.isTrue(placed.every(({ payload }) => payload === null))
        assert.strictEqual(placed.at(-1)?.event.type, DELETED)
        return placed.map(({ event }) => event)
      })
      let [acknowledged, late] = [0, 0]
      for (let round = 0; round < ROUNDS; round++) {
        const documentId = randomName()
        const writers = [...urls, ...urls].map(() => makeWriter(documentId))
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* begin(urls[0]!, documentId, token)
            const enough = yield* Deferred.make<void>()
            let left = 1 + random.next(80)
            const onAcknowledged = () => {
              left -= 1
              if (left === 0) Deferred.doneUnsafe(enough, Effect.void)
            }
            const clients = yield* Effect.forEach(writers, (writer, i) =>
              writeUpdatesOn(urls[i % urls.length]!, writer, token, onAcknowledged)
            )
            yield* Deferred.await(enough)
            yield* remove(documentId)
            for (const client of clients) assert.strictEqual((yield* client.closed).code, 4404)
          })
        )
        const events = yield* eventsOf(documentId)
        for (const { author, acknowledged: count, sent } of writers) {
          const clocks = events.flatMap(({ data, type }) => {
            const { clock, pubKey } = data as { readonly clock: number; readonly pubKey: string }
            return type === "UpdateStored" && pubKey === author.pubKey ? [clock] : []
          })
          assert.deepStrictEqual(clocks, [...clocks.keys()])
          assert.isAtLeast(clocks.length, count)
          acknowledged += count
          late += sent.length - clocks.length
        }
      }
      for (let round = 0; round < BEGUN; round++) {
        const documentId = randomName()
        const saved = yield* Effect.scoped(
          Effect.gen(function* () {
            const client = yield* connectRaw({ url: urls[round % urls.length]!, documentId, token })
            const deleting = yield* Effect.forkChild(remove(documentId))
            // Beside the deletion, or right after it, when the server has not heard of it.
            if (round % 2 === 0) for (let turn = random.next(20); turn > 0; turn--) yield* Effect.yieldNow
            else yield* Fiber.join(deleting)
            client.send(snapshotMessage(makeAuthor(), { docId: documentId }))
            yield* Fiber.join(deleting)
            assert.strictEqual((yield* client.closed).code, 4404)
            return client.frames.filter(({ type }) => type === "snapshot-saved").length
          })
        )
        const events = yield* eventsOf(documentId)
        assert.isAtLeast(events.filter(({ type }) => type === "SnapshotStored").length, saved)
        acknowledged += saved
      }
      console.log(`${ROUNDS + BEGUN} deletions: ${acknowledged} writes acknowledged before them, ${late} refused`)
      const replayed = yield* run(database, "replay", "--library", libraryId)
      assert.strictEqual(replayed.problemCount, 0)
    })
  )

  it.live("documents that are begun while their library is deleted are deleted as well", () =>
    Effect.gen(function* () {
      const { database, urls } = yield* startServers()
      const libraryId = LibraryId.make(randomName())
      const token = yield* mintToken(libraryId)
      const saved: Array<string> = []
      const some = yield* Deferred.make<void>()
      /** Begins one document after another, until the server admits it no more. */
      const beginMany = (url: string) =>
        Effect.gen(function* () {
          while (true) {
            const documentId = randomName()
            const client = yield* connectRaw({ url, documentId, token })
            if (client.first.type !== "document") return
            client.send(snapshotMessage(makeAuthor(), { docId: documentId }))
            const isSaved = yield* Effect.raceFirst(
              Effect.as(client.next("snapshot-saved"), true),
              Effect.as(client.closed, false)
            )
            if (!isSaved) return
            saved.push(documentId)
            if (saved.length === 10) Deferred.doneUnsafe(some, Effect.void)
          }
        }).pipe(Effect.scoped)
      const beginning = yield* Effect.forEach([...urls, ...urls], (url) => Effect.forkChild(beginMany(url)))
      yield* Deferred.await(some)
      yield* deleteForGood({ libraryId }).pipe(Effect.provide(layerOf(database)), Effect.orDie)
      yield* Effect.forEach(beginning, Fiber.join)
      console.log(`${saved.length} documents were begun while their library was deleted`)
      const streams = yield* Effect.flatMap(EventLog, (log) => log.streams({ libraryId, limit: 10_000 })).pipe(
        Effect.provide(layerOf(database)),
        Effect.orDie
      )
      const found = streams.filter(({ key }) => !key.streamId.startsWith("@"))
      assert.includeMembers(
        found.map(({ key }) => key.streamId),
        saved
      )
      assert.isTrue(found.every(({ payloads }) => payloads === 0))
      const replayed = yield* run(database, "replay", "--library", libraryId)
      assert.strictEqual(replayed.problemCount, 0)
    })
  )
})
