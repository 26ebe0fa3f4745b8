/** The interface for an app that embeds the server: document snapshots, and a feed of changes. */
import { assert, describe, it } from "@effect/vitest"
import { importVerdant } from "@sealog/server/admin/ImportVerdant"
import { VERDANT } from "@sealog/server/domain/verdant/Events"
import type { LibraryChange } from "@sealog/server/domain/verdant/views/LibraryChange"
import { EventLog } from "@sealog/server/ports/EventLog"
import { VerdantLibraries } from "@sealog/server/protocols/verdant/VerdantLibraries"
import { Array, Context, Deferred, Effect, Layer, Stream } from "effect"
import { databasesIn } from "../../packages/cli/src/backends/verdantDatabases.ts"
import { startServer } from "../support/servers/TestServer.ts"
import { freshStorage, layerOf } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { evict, libraryInfo } from "../support/verdant/admin.ts"
import { type Library, libraryOn } from "../support/verdant/Library.ts"
import { initialize, makeReplica, onlyUser } from "../support/verdant/Replica.ts"
import { freshDirectory, writeShard } from "../support/verdant/shards.ts"
import {
  openClient,
  openClients,
  untilRestored,
  untilSame,
  type VerdantClient
} from "../support/verdant/VerdantClient.ts"

/** Another process, as far as the log can tell: it has its own connections. */
const startWorker = Effect.fnUntraced(function* (database: string) {
  const layer = VerdantLibraries.layerWithoutServer().pipe(Layer.provideMerge(layerOf(database)))
  const services = yield* Effect.orDie(Layer.build(layer))
  return { libraries: Context.get(services, VerdantLibraries), log: Context.get(services, EventLog) }
})

/** Subscribes a listener, and returns the list of the changes that it receives. */
const listen = Effect.fnUntraced(function* (changes: Stream.Stream<LibraryChange>) {
  const told: Array<LibraryChange> = []
  yield* Effect.forkScoped(Stream.runForEach(changes, (change) => Effect.sync(() => void told.push(change))))
  return told as ReadonlyArray<LibraryChange>
})

const operationsOf = (changes: ReadonlyArray<LibraryChange>) =>
  changes.flatMap((change) => (change._tag === "Changed" ? change.operations : []))

interface Sent {
  readonly oid: string
  readonly timestamp: string
  readonly data: unknown
}

const plain = ({ data, oid, timestamp }: Sent): Sent => ({ oid, timestamp, data })

/** The operations that a client sent, each once, in the order of their time. */
const sentBy = ({ network }: VerdantClient): ReadonlyArray<Sent> => {
  const sent = network.sent.flatMap((message) => (message["operations"] ?? []) as ReadonlyArray<Sent>)
  const once = new Map(sent.map((operation) => [`${operation.timestamp} ${operation.oid}`, plain(operation)]))
  return sorted(Array.fromIterable(once.values()))
}

const sorted = (operations: ReadonlyArray<Sent>) =>
  operations.toSorted((a, b) => (`${a.timestamp} ${a.oid}` < `${b.timestamp} ${b.oid}` ? -1 : 1))

const untilTold = (told: ReadonlyArray<LibraryChange>, clients: ReadonlyArray<VerdantClient>) =>
  until(
    "the listener received every operation",
    () => operationsOf(told).length >= clients.flatMap(sentBy).length,
    () => ({ told: operationsOf(told).length, sent: clients.map((client) => sentBy(client).length) })
  )

const versionsOf = (changes: ReadonlyArray<LibraryChange>) => changes.map(({ version }) => version)

const assertAscending = (changes: ReadonlyArray<LibraryChange>) =>
  assert.deepStrictEqual(
    versionsOf(changes),
    Array.dedupe(versionsOf(changes)).toSorted((a, b) => a - b)
  )

const tag = (client: VerdantClient, id: string, text: string) => client.edit(id, (item) => item.get("tags").push(text))

const eventsOf = (log: EventLog["Service"], { id }: Library) =>
  Effect.map(Effect.orDie(log.read({ libraryId: id, streamId: VERDANT }, { after: 0, payloads: false })), (events) =>
    events.map(({ event }) => event)
  )

describe.each(["realtime", "pull"] as const)("changes that an app receives (%s)", (transport) => {
  it.live("each listener receives every accepted write once, as it was sent, after it is stored", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const worker = yield* startWorker(server.database)
      const library = libraryOn(server)
      const stored: Array<boolean> = []
      const first = yield* listen(
        server.libraries.changes(library.id, 0).pipe(
          Stream.tap(({ version }) =>
            // Other connections see only committed events.
            Effect.map(eventsOf(worker.log, library), (events) => stored.push((events.at(-1)?.version ?? 0) >= version))
          )
        )
      )
      const second = yield* listen(server.libraries.changes(library.id, 0))
      const elsewhere = yield* listen(worker.libraries.allChanges(new Map()))
      const [a, b] = yield* openClients(["a", "b"], { library, transport })
      const id = yield* a.put({ content: "shared" })
      yield* b.until("it has the item", (items) => items.length === 1)
      for (const round of Array.range(1, 5)) {
        yield* tag(a, id, `a ${round}`)
        yield* tag(b, id, `b ${round}`)
      }
      const secret = yield* b.put({ content: "for b alone" }, { access: onlyUser("b") })
      yield* untilSame([a])
      yield* until("b has sent everything", () => b.isSettled())
      for (const told of [first, second, elsewhere]) {
        yield* untilTold(told, [a, b])
        assertAscending(told)
        assert.deepStrictEqual(sorted(operationsOf(told).map(plain)), sorted([...sentBy(a), ...sentBy(b)]))
        for (const client of [a, b]) {
          const own = told.filter((change) => change._tag === "Changed" && change.userId === client.user)
          assert.deepStrictEqual(sorted(operationsOf(own).map(plain)), sentBy(client))
          const replicas = own.map((change): unknown => change._tag === "Changed" && change.replicaId)
          assert.deepStrictEqual(Array.dedupe(replicas), [yield* client.replicaId])
        }
        const ofSecret = told.filter(
          (change) => change._tag === "Changed" && change.documents.some((document) => document.id === secret)
        )
        assert.deepStrictEqual(
          operationsOf(ofSecret)
            .flatMap(({ authz, oid }) => (oid.includes(secret) ? [authz] : []))
            .at(0),
          onlyUser("b") as never
        )
        assert.deepStrictEqual(Array.dedupe(told.map(({ _tag }) => _tag)), ["Changed"])
      }
      assert.deepStrictEqual(Array.dedupe(stored), [true])
      assert.lengthOf(stored, first.length)
    })
  )
})

describe("changes that an app receives", () => {
  it.live("a listener that returns with a version receives every later change, also after a restart", () =>
    Effect.gen(function* () {
      const database = yield* freshStorage
      const before = yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* startServer({ database })
          const library = libraryOn(server)
          const a = yield* openClient({ library, user: "a" })
          const told = yield* listen(server.libraries.changes(library.id, 0))
          const id = yield* a.put({ content: "first" })
          yield* untilSame([a])
          yield* untilTold(told, [a])
          return { a, id, library, told: [...told] }
        })
      )
      const last = before.told.at(-1)?.version ?? 0
      assert.isAbove(last, 0)
      const all = yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* startServer({ database })
          const library = libraryOn(server, before.library.id)
          const a = yield* openClient({ library, user: "a", device: before.a.device })
          yield* tag(a, before.id, "while nobody listened")
          yield* untilSame([a])
          const told = yield* listen(server.libraries.changes(library.id, last))
          yield* untilTold(told, [a])
          yield* tag(a, before.id, "and while somebody did")
          yield* untilSame([a])
          yield* untilTold(told, [a])
          assert.deepStrictEqual(sorted(operationsOf(told).map(plain)), sentBy(a))
          return [...before.told, ...told]
        })
      )
      const server = yield* startServer({ database })
      const again = yield* listen(server.libraries.changes(before.library.id, 0))
      yield* until("it receives every change again", () => again.length >= all.length)
      assert.deepStrictEqual(again, all)
    })
  )

  it.live("a listener without a version receives only changes stored from then on", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const a = yield* openClient({ library, user: "a" })
      const id = yield* a.put({ content: "before" })
      yield* untilSame([a])
      const before = (yield* eventsOf(server.log, library)).at(-1)?.version ?? 0
      const one = yield* listen(server.libraries.changes(library.id))
      const all = yield* listen(server.libraries.allChanges())
      // A listener does not announce that it is subscribed, so the test writes until both have received something.
      yield* until(
        "both received a change",
        Effect.gen(function* () {
          yield* tag(a, id, "after")
          yield* untilSame([a])
          return one.length > 0 && all.length > 0
        })
      )
      for (const told of [one, all]) assert.isTrue(versionsOf(told).every((version) => version > before))
    })
  )

  it.live(
    "an eviction is delivered as one, and a later listener receives the purged changes without their content",
    () =>
      Effect.gen(function* () {
        const server = yield* startServer()
        const library = libraryOn(server)
        const told = yield* listen(server.libraries.changes(library.id, 0))
        const a = yield* openClient({ library, user: "a" })
        yield* a.put({ content: "brought back" })
        yield* untilSame([a])
        yield* untilTold(told, [a])
        const before = told.length
        yield* a.goOffline
        yield* evict(server.database, library)
        yield* until("the eviction is delivered", () => told.some(({ _tag }) => _tag === "Evicted"))
        assert.deepStrictEqual(
          told.slice(before).map(({ _tag }) => _tag),
          ["Evicted"]
        )
        yield* a.goOnline
        yield* untilRestored(a)
        yield* until("the restore is delivered", () => told.length > before + 1)
        const [back] = told.slice(before + 1)
        if (back?._tag !== "Changed") return assert.fail(`delivered ${back?._tag}`)
        assert.deepStrictEqual([back.userId, back.documents.length], ["a", 1])
        assert.isAbove(back.operations.length + back.baselines.length, 0)

        const late = yield* listen(server.libraries.changes(library.id, 0))
        yield* until("a later listener received as many changes", () => late.length >= told.length)
        assert.deepStrictEqual(
          late
            .slice(0, before)
            .map((change) => [change.version, change._tag, change._tag === "Purged" && change.userId]),
          told.slice(0, before).map((change) => [change.version, "Purged", "a"])
        )
        assert.deepStrictEqual(late.slice(before), told.slice(before))
      })
  )

  it.live("compaction, replica progress, files and joining replicas are not delivered as changes", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ verdant: { cursorInterval: "100 millis", foldAfter: 1 } })
      const library = libraryOn(server)
      const told = yield* listen(server.libraries.changes(library.id, 0))
      const [a, b] = yield* openClients(["a", "b"], { library })
      const id = yield* a.put({ image: new File(["the picture"], "picture.txt", { type: "text/plain" }) })
      yield* until("it is uploaded", () => a.network.uploads() === 1)
      yield* b.until("it has the item", (items) => items.length === 1)
      const isCompactedThrice = Effect.gen(function* () {
        for (const client of [a, b]) yield* tag(client, id, client.user)
        yield* untilSame([a, b])
        const events = yield* eventsOf(server.log, library)
        return events.filter(({ type }) => type === "Folded").length > 2
      })
      yield* until("it is compacted three times", isCompactedThrice)
      yield* untilTold(told, [a, b])
      const events = yield* eventsOf(server.log, library)
      const stored = events.filter(({ type }) => type === "OperationsStored").map(({ version }) => version)
      assert.includeMembers(
        events.map(({ type }) => type),
        ["CursorsAdvanced", "FileStored", "ReplicaJoined"]
      )
      assert.deepStrictEqual(versionsOf(told), stored)
      assert.deepStrictEqual(Array.dedupe(told.map(({ _tag }) => _tag)), ["Changed"])

      const late = yield* listen(server.libraries.changes(library.id, 0))
      yield* until("a later listener received as many changes", () => late.length >= stored.length)
      assert.deepStrictEqual(versionsOf(late), stored)
      assert.strictEqual(late[0]?._tag, "Purged")
      // Changes that are not purged are delivered as before.
      const kept = late.filter(({ _tag }) => _tag === "Changed")
      assert.deepStrictEqual(kept, told.slice(told.length - kept.length))
      assert.strictEqual((yield* libraryInfo(server.database, library))?.files.length, 1)
    })
  )

  it.live(
    "a listener to all libraries resumes each at its version, and receives a new library from its first change",
    () =>
      Effect.gen(function* () {
        const server = yield* startServer()
        const worker = yield* startWorker(server.database)
        const [known, unnamed, created] = [libraryOn(server), libraryOn(server), libraryOn(server)]
        const write = Effect.fnUntraced(function* (library: Library) {
          const client = yield* openClient({ library, user: "a" })
          yield* client.put({ content: "text" })
          yield* untilSame([client])
          return (yield* eventsOf(server.log, library)).at(-1)?.version ?? 0
        })
        const after = new Map([[known.id, yield* write(known)]])
        yield* write(unnamed)
        const listeners = [
          yield* listen(server.libraries.allChanges(after)),
          yield* listen(worker.libraries.allChanges(after))
        ]
        yield* write(created)
        yield* write(known)
        for (const told of listeners) {
          const of = ({ id }: Library) => told.filter(({ libraryId }) => libraryId === id)
          yield* until("it received changes of all three", () =>
            [known, unnamed, created].every((library) => of(library).length > 0)
          )
          for (const library of [known, unnamed, created]) {
            const events = yield* eventsOf(server.log, library)
            const stored = events.filter(
              ({ type, version }) => type === "OperationsStored" && version > (after.get(library.id) ?? 0)
            )
            yield* until("it received every change", () => of(library).length >= stored.length)
            assert.deepStrictEqual(
              versionsOf(of(library)),
              stored.map(({ version }) => version)
            )
          }
        }
      })
  )

  it.live("an imported library is delivered as one change", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const told = yield* listen(server.libraries.allChanges(new Map()))
      const replica = makeReplica()
      const item = replica.operation("item/1", initialize({ id: "1", content: "imported" }))
      const directory = yield* freshDirectory
      writeShard(directory, library.id, { operations: [{ ...item, replicaId: replica.id, serverOrder: 1 }] })
      yield* Effect.provide(importVerdant(databasesIn(directory)), layerOf(server.database))
      yield* until("it is delivered", () => told.length > 0)
      assert.deepStrictEqual(
        told.map(({ _tag, libraryId, version }) => ({ _tag, libraryId, version })),
        [{ _tag: "Imported", libraryId: library.id, version: 1 }]
      )
      const document = yield* server.libraries.documentSnapshot(library.id, "item", "1")
      assert.deepStrictEqual({ ...(document as object) }, { id: "1", content: "imported" })
    })
  )

  it.live("a slow listener delays no other, and still receives every change", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const [stuck, go] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const told = yield* listen(
        Stream.tap(server.libraries.changes(library.id, 0), () =>
          Effect.andThen(Deferred.succeed(stuck, undefined), Deferred.await(go))
        )
      )
      const quick = yield* listen(server.libraries.changes(library.id, 0))
      const a = yield* openClient({ library, user: "a" })
      const id = yield* a.put({ content: "text" })
      yield* Deferred.await(stuck)
      for (const round of Array.range(1, 30)) {
        yield* tag(a, id, `round ${round}`)
        yield* untilSame([a])
      }
      yield* untilTold(quick, [a])
      assert.lengthOf(told, 0)
      yield* Deferred.succeed(go, undefined)
      yield* untilTold(told, [a])
      assert.deepStrictEqual(told, quick)
    })
  )
})

describe("document snapshots", () => {
  it.live("a document snapshot equals the client's document, and links its file where the process serves files", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const worker = yield* startWorker(server.database)
      const library = libraryOn(server)
      const a = yield* openClient({ library, user: "a" })
      const id = yield* a.put({
        content: "text",
        comments: [{ author: "a", text: "y" }],
        image: new File(["the picture"], "picture.txt", { type: "text/plain" })
      })
      yield* until("it is uploaded", () => a.network.uploads() === 1)
      const image = (yield* a.entity(id)).get("image")
      const snapshot = (libraries: VerdantLibraries["Service"]) =>
        Effect.map(Effect.orDie(libraries.documentSnapshot(library.id, "item", id)), (document) => {
          assert.isObject(document)
          const { image, ...rest } = document as { readonly image: Readonly<Record<string, unknown>> | null }
          return { image, rest: rest as Readonly<Record<string, unknown>> }
        })
      yield* until(
        "the worker has the file",
        Effect.map(snapshot(worker.libraries), ({ image }) => image !== null)
      )
      for (const round of Array.range(1, 3)) {
        yield* tag(a, id, `round ${round}`)
        yield* untilSame([a])
        const { image: _, ...rest } = (yield* a.documents())[0]!
        const ours = yield* snapshot(server.libraries)
        assert.deepStrictEqual(ours.rest, rest)
        const { url, ...file } = ours.image ?? {}
        // Exactly the fields of Verdant's own server.
        assert.deepStrictEqual(file, { id: image.id, name: "picture.txt", type: "text/plain" })
        const content = yield* Effect.promise(async () => (await fetch(new URL(String(url), library.endpoint))).text())
        assert.strictEqual(content, "the picture")
        // The worker serves no files, so it gives no link.
        assert.deepStrictEqual(yield* snapshot(worker.libraries), { rest, image: { ...file, url: null } })
      }
      yield* a.remove(id)
      yield* untilSame([a])
      for (const { libraries } of [server, worker]) {
        assert.isUndefined(yield* libraries.documentSnapshot(library.id, "item", id))
        assert.isUndefined(yield* libraries.documentSnapshot(libraryOn(server).id, "item", id))
      }
    })
  )

  it.live("file links start with the configured public origin", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ files: { publicOrigin: "https://sync.example.org" } })
      const library = libraryOn(server)
      const a = yield* openClient({ library, user: "a" })
      const id = yield* a.put({ image: new File(["the picture"], "picture.txt", { type: "text/plain" }) })
      yield* until("it is uploaded", () => a.network.uploads() === 1)
      yield* untilSame([a])
      const document = yield* server.libraries.documentSnapshot(library.id, "item", id)
      const { image } = document as { readonly image: { readonly url: string } }
      assert.match(image.url, /^https:\/\/sync\.example\.org\/verdant\/files\/[^/]+\/content\?library=/)
    })
  )
})
