/** The HTTP API of operators, asked by its typed client over HTTP. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Redacted } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient, HttpApiMiddleware } from "effect/http-api"
import { WebSocket } from "ws"
import { connectRaw } from "#test-support/clients/RawSecsync"
import { connectVerdant, registerReplica } from "#test-support/clients/RawVerdant"
import {
  startMemoryServer,
  type TestServer,
  type TestServerOptions,
  TOKEN_SECRET
} from "#test-support/servers/TestServer"
import { isSigned, startReceiver } from "#test-support/servers/WebhookReceiver"
import { until } from "#test-support/until"
import { libraryOn } from "#test-support/verdant/Library"
import { initialize, makeReplica } from "#test-support/verdant/Replica"
import * as JwtAccess from "../../src/adapters/JwtAccess.ts"
import { AdminApi, Authorization, adminRoutes } from "../../src/admin/api/index.ts"
import { revoke } from "../../src/admin/Revocation.ts"
import { MAX_WEBHOOKS } from "../../src/admin/Webhooks.ts"
import { libraryAdministration } from "../../src/domain/Administration.ts"
import { DocumentId, LibraryId } from "../../src/domain/Ids.ts"
import { defaultQuota, type QuotaChange } from "../../src/domain/Quota.ts"
import { place } from "../../src/domain/Stream.ts"
import { fold } from "../../src/domain/secsync/State.ts"
import { webhookStream } from "../../src/domain/webhooks/Events.ts"
import { EventLog } from "../../src/ports/EventLog.ts"
import { Signals } from "../../src/ports/Signals.ts"
import { quotaOfServer } from "../../src/rooms/Quotas.ts"
import { makeAuthor, snapshotMessage, updateMessage } from "../../src/testing/SealedMessages.ts"

const secrets = [Redacted.make(TOKEN_SECRET)]

const clientOf = (server: TestServer, token: string) =>
  HttpApiClient.make(AdminApi, {
    transformClient: HttpClient.mapRequest(HttpClientRequest.prependUrl(`http://127.0.0.1:${server.port}`))
  }).pipe(
    Effect.provide(
      HttpApiMiddleware.layerClient(Authorization, ({ next, request }) =>
        next(HttpClientRequest.bearerToken(request, token))
      ).pipe(Layer.provideMerge(FetchHttpClient.layer))
    )
  )

const start = Effect.fnUntraced(function* (options: TestServerOptions = {}) {
  const routes = adminRoutes(Layer.orDie(JwtAccess.layerAdmin({ secrets })))
  const server = yield* startMemoryServer({ ...options, routes })
  const { mintAdmin } = yield* Effect.orDie(JwtAccess.makeVerifier({ secrets }))
  const token = yield* mintAdmin({ name: "grace" })
  return { server, token, mintAdmin, client: yield* clientOf(server, token) }
})

const notes = LibraryId.make("notes")

describe("the API of operators", () => {
  it.live("shows libraries, documents and their events", () =>
    Effect.gen(function* () {
      const { client, server } = yield* start()
      assert.deepStrictEqual(yield* client.libraries.list({ query: {} }), [])
      const author = makeAuthor()
      const writer = yield* connectRaw({ url: server.url, documentId: "diary", token: yield* server.token("notes") })
      const snapshot = snapshotMessage(author, { docId: "diary" })
      writer.send(snapshot)
      yield* writer.next("snapshot-saved")
      writer.send(updateMessage(author, { docId: "diary", refSnapshotId: snapshot.publicData.snapshotId, clock: 0 }))
      yield* writer.next("update-saved")

      assert.deepStrictEqual(
        (yield* client.libraries.list({ query: {} })).map(({ libraryId }) => libraryId),
        [notes]
      )
      const library = yield* client.libraries.show({ params: { libraryId: notes } })
      assert.deepInclude(library, { documents: 1, events: 2, suspended: false, quota: {} })
      const [listed] = yield* client.documents.list({ params: { libraryId: notes }, query: {} })
      assert.deepInclude(listed, { documentId: "diary", version: 2 })
      const params = { libraryId: notes, documentId: DocumentId.make("diary") }
      const document = yield* client.documents.show({ params })
      assert.strictEqual(document.activeSnapshotId, snapshot.publicData.snapshotId)
      const events = yield* client.documents.events({ params, query: { after: 1 } })
      const [stored] = yield* server.log.read({ libraryId: notes, streamId: "diary" }, { after: 1 })
      assert.deepStrictEqual(
        events.map(({ type, version, chain, payloadBytes }) => ({ type, version, chain, payloadBytes })),
        [{ type: "UpdateStored", version: 2, chain: document.chain, payloadBytes: stored!.payload!.byteLength }]
      )
      assert.deepInclude(yield* client.server.statistics({ query: {} }), {
        libraries: 1,
        documents: 1,
        evictedDocuments: 0
      })
      assert.include(yield* client.server.metrics({}), "sealog_connections")
    })
  )

  it.live("leaves its own streams out of a list without an empty page before the end", () =>
    Effect.gen(function* () {
      const { client, server } = yield* start()
      const writer = yield* connectRaw({ url: server.url, documentId: "diary", token: yield* server.token("notes") })
      writer.send(snapshotMessage(makeAuthor(), { docId: "diary" }))
      yield* writer.next("snapshot-saved")
      // The library's and the server's administration are streams that come first.
      yield* client.libraries.suspend({ params: { libraryId: notes }, payload: {} })
      yield* client.server.revoke({ payload: { whose: { userId: "ada" } } })
      const libraries = yield* client.libraries.list({ query: { limit: 1 } })
      assert.deepStrictEqual(
        libraries.map(({ libraryId }) => libraryId),
        [notes]
      )
      assert.deepStrictEqual(yield* client.libraries.list({ query: { limit: 1, after: notes } }), [])
      const documents = yield* client.documents.list({ params: { libraryId: notes }, query: { limit: 1 } })
      assert.deepStrictEqual(
        documents.map(({ documentId }) => documentId),
        ["diary"]
      )
    })
  )

  it.live("lists each library with the part of its quota that it is nearest to", () =>
    Effect.gen(function* () {
      const { client, server } = yield* start()
      const library = libraryOn(server, "groceries")
      const connected = yield* connectVerdant(library, yield* library.token({ userId: "ada" }))
      const replica = makeReplica()
      yield* registerReplica(connected, replica)
      connected.send(replica.op(replica.operation("item/x", initialize({}))))
      yield* connected.next("server-ack")
      const writer = yield* connectRaw({ url: server.url, documentId: "diary", token: yield* server.token("notes") })
      writer.send(snapshotMessage(makeAuthor(), { docId: "diary" }))
      yield* writer.next("snapshot-saved")

      const nearest = Effect.map(client.libraries.list({ query: {} }), (all) => all.map((one) => one.nearestQuota))
      assert.deepStrictEqual(yield* nearest, [
        { part: "events", use: (yield* server.log.use(library.id)).events, atMost: defaultQuota.events },
        { part: "documents", use: 1, atMost: defaultQuota.documents }
      ])
      // The stream of a library's administration is no document.
      const setQuota = (quota: { readonly documents: number; readonly events: number }) =>
        client.libraries.setQuota({ params: { libraryId: notes }, payload: { quota } })
      yield* setQuota({ documents: 4, events: 10 })
      assert.deepStrictEqual((yield* nearest)[1], { part: "documents", use: 1, atMost: 4 })
      yield* setQuota({ documents: 0, events: 10 })
      assert.deepStrictEqual((yield* nearest)[1], { part: "documents", use: 1, atMost: 0 })

      // A library whose administration is damaged does not keep the others from being listed.
      const key = libraryAdministration(notes)
      const [head] = yield* server.log.heads([key])
      const damaged = { type: "QuotaSet", data: { documents: "many" }, payloadHash: "" as const, checkpoint: false }
      const event = place(key, head!, damaged, "test", 1000)
      yield* server.log.append([{ key, expectedVersion: head!.version, events: [{ event, payload: null }] }])
      const [groceries, unknown] = yield* nearest
      assert.strictEqual(groceries?.part, "events")
      assert.isNull(unknown)
    })
  )

  it.live("tells a deleted document from an evicted one, until it is allowed again", () =>
    Effect.gen(function* () {
      const { client, server } = yield* start()
      const documentId = DocumentId.make("diary")
      const params = { libraryId: notes }
      const writer = yield* connectRaw({ url: server.url, documentId: "evicted", token: yield* server.token("notes") })
      writer.send(snapshotMessage(makeAuthor(), { docId: "evicted" }))
      yield* writer.next("snapshot-saved")
      yield* client.libraries.evict({ params, payload: { documentId: DocumentId.make("evicted") } })
      const create = client.documents.create({ params, payload: { documentId, newLibrary: true } })
      const shown = Effect.gen(function* () {
        const { evictedDocuments } = yield* client.libraries.show({ params })
        const totals = yield* client.server.statistics({ query: {} })
        const listed = yield* client.documents.list({ params, query: {} })
        const one = yield* client.documents.show({ params: { libraryId: notes, documentId } })
        const states = [...listed, one].map(({ deleted, evicted }) => ({ deleted, evicted }))
        assert.deepStrictEqual([totals.evictedDocuments, states[1]], [evictedDocuments, evicted])
        assert.deepStrictEqual(states[0], states[2])
        return [evictedDocuments, states[0]]
      })
      const [open, evicted] = [
        { deleted: false, evicted: false },
        { deleted: false, evicted: true }
      ]
      yield* create
      assert.deepStrictEqual(yield* shown, [1, open])
      yield* client.libraries.delete({ params, payload: { documentId } })
      assert.deepStrictEqual(yield* shown, [2, { deleted: true, evicted: false }])
      yield* client.libraries.allowAgain({ params, payload: { documentId } })
      assert.deepStrictEqual(yield* shown, [1, open])
      yield* create
      assert.deepStrictEqual(yield* shown, [1, open])
    })
  )

  it.live("shows the quota that the app and the server set, where no operator set another", () =>
    Effect.gen(function* () {
      const { client } = yield* start({
        quota: { documents: 4, objects: 7 },
        quotaOf: (libraryId) => (libraryId === notes ? { documents: 2, events: 90 } : undefined)
      })
      const create = (libraryId: LibraryId) => {
        const payload = { documentId: DocumentId.make("diary"), newLibrary: true }
        return client.documents.create({ params: { libraryId }, payload })
      }
      yield* create(notes)
      yield* create(LibraryId.make("other"))
      // A document without a snapshot was never evicted.
      const shown = yield* client.libraries.show({ params: { libraryId: notes } })
      assert.deepInclude(shown, { documents: 1, evictedDocuments: 0 })
      assert.deepInclude(yield* client.server.statistics({ query: {} }), { documents: 2, evictedDocuments: 0 })
      const atMost = (libraryId: LibraryId) =>
        Effect.map(client.libraries.quota({ params: { libraryId } }), ({ atMost: all }) => all)
      const nearest = Effect.map(client.libraries.list({ query: {} }), (all) =>
        all.map(({ nearestQuota }) => nearestQuota?.atMost)
      )
      assert.deepInclude(yield* atMost(notes), { documents: 2, events: 90, objects: 7 })
      assert.deepInclude(yield* atMost(LibraryId.make("other")), { documents: 4, events: defaultQuota.events })
      assert.deepStrictEqual(yield* nearest, [2, 4])
      yield* client.libraries.setQuota({ params: { libraryId: notes }, payload: { quota: { documents: 3 } } })
      assert.deepInclude(yield* atMost(notes), { documents: 3, events: 90, objects: 7 })
      assert.deepStrictEqual(yield* nearest, [3, 4])
    })
  )

  it.live(
    "shows a quota within the bounds of quotas, whatever the app's quotaOf returns, and the rest if it throws",
    () =>
      Effect.gen(function* () {
        const other = LibraryId.make("other")
        const { client } = yield* start({
          quota: { objects: 7.9, files: Number.NaN },
          quotaOf: (libraryId) => {
            if (libraryId === other) throw new Error("no plan")
            const odd: object = {
              documentBytes: Number.POSITIVE_INFINITY,
              events: -1,
              documentAuthors: 5000,
              operations: undefined
            }
            return odd as QuotaChange
          }
        })
        for (const libraryId of [notes, other]) {
          const payload = { documentId: DocumentId.make("diary"), newLibrary: true }
          yield* client.documents.create({ params: { libraryId }, payload })
        }
        const shown = yield* client.libraries.quota({ params: { libraryId: notes } })
        assert.deepStrictEqual(shown.atMost, {
          ...quotaOfServer(),
          ...{ objects: 7, documentBytes: Number.MAX_SAFE_INTEGER, events: 0, documentAuthors: 1000 }
        })
        const documents = yield* client.documents.list({ params: { libraryId: notes }, query: {} })
        assert.strictEqual(documents[0]?.documentBytes?.atMost, Number.MAX_SAFE_INTEGER)
        const unknown = yield* client.libraries.quota({ params: { libraryId: other } })
        assert.isNull(unknown.atMost)
        assert.strictEqual(unknown.use.documents, 1)
      })
  )

  it.live("shows how many bytes of a document count for its quota, as its room counts them", () =>
    Effect.gen(function* () {
      const { client, server } = yield* start({ quota: { documentBytes: 9000 } })
      const author = makeAuthor()
      const writer = yield* connectRaw({ url: server.url, documentId: "diary", token: yield* server.token("notes") })
      const parent = snapshotMessage(author, { docId: "diary" })
      writer.send(parent)
      yield* writer.next("snapshot-saved")
      writer.send(updateMessage(author, { docId: "diary", refSnapshotId: parent.publicData.snapshotId, clock: 0 }))
      yield* writer.next("update-saved")
      const snapshot = snapshotMessage(author, { docId: "diary", parent, clocks: { [author.pubKey]: 0 } })
      writer.send(snapshot)
      yield* writer.next("snapshot-saved")
      writer.send(updateMessage(author, { docId: "diary", refSnapshotId: snapshot.publicData.snapshotId, clock: 0 }))
      yield* writer.next("update-saved")

      const stored = yield* server.log.read({ libraryId: notes, streamId: "diary" }, { after: 0 })
      const { bytes } = fold(
        DocumentId.make("diary"),
        stored.map(({ event }) => event)
      )
      const params = { libraryId: notes, documentId: DocumentId.make("diary") }
      const shown = Effect.all([
        Effect.map(client.documents.list({ params, query: {} }), ([listed]) => listed?.documentBytes),
        Effect.map(client.documents.show({ params }), ({ documentBytes }) => documentBytes)
      ])
      const expected = { use: bytes, atMost: 9000 }
      assert.deepStrictEqual(yield* shown, [expected, expected])
      yield* client.libraries.setQuota({ params, payload: { quota: { documentBytes: 8000 } } })
      assert.strictEqual((yield* shown)[0]?.atMost, 8000)
      yield* client.libraries.evict({ params, payload: {} })
      assert.deepStrictEqual(yield* shown, [
        { use: 0, atMost: 8000 },
        { use: 0, atMost: 8000 }
      ])
    })
  )

  it.live("evicts, suspends, resumes, revokes and sets quotas in the operator's name", () =>
    Effect.gen(function* () {
      const { client, server } = yield* start()
      const library = libraryOn(server, "notes")
      const connected = yield* connectVerdant(library, yield* library.token({ userId: "ada" }))
      const replica = makeReplica()
      yield* registerReplica(connected, replica)
      connected.send(replica.op(replica.operation("item/x", initialize({}))))
      yield* connected.next("server-ack")
      const params = { libraryId: notes }
      assert.deepInclude(yield* client.libraries.verdant({ params }), { operations: 1, heldBy: replica.id })
      assert.deepStrictEqual(
        (yield* client.libraries.evict({ params, payload: { dryRun: true } })).documents.map(
          ({ documentId }) => documentId
        ),
        ["@verdant"]
      )
      assert.deepInclude(yield* client.libraries.verdant({ params }), { operations: 1 })
      assert.lengthOf((yield* client.libraries.evict({ params, payload: {} })).documents, 1)
      yield* until(
        "the library is empty",
        Effect.map(client.libraries.verdant({ params }), (info) => info === null)
      )

      const payload = { reason: "unpaid" }
      assert.deepStrictEqual(yield* client.libraries.suspend({ params, payload }), { changed: true })
      assert.deepStrictEqual(yield* client.libraries.suspend({ params, payload }), { changed: false })
      assert.isTrue((yield* client.libraries.show({ params })).suspended)
      assert.deepStrictEqual(yield* client.libraries.resume({ params, payload: {} }), { changed: true })
      assert.deepStrictEqual(yield* client.libraries.revoke({ params, payload: { whose: { userId: "ada" } } }), {
        changed: true
      })
      assert.deepStrictEqual(yield* client.libraries.setQuota({ params, payload: { quota: { objects: 5 } } }), {
        changed: true
      })
      assert.deepInclude((yield* client.libraries.show({ params })).quota, { objects: 5 })
      const { atMost, quota, use } = yield* client.libraries.quota({ params })
      assert.deepStrictEqual(quota, { objects: 5 })
      assert.deepInclude(atMost, { objects: 5, documents: defaultQuota.documents })
      assert.strictEqual(use.objects, 0)
      const revoked = yield* client.libraries.revocations({ params })
      assert.deepInclude(revoked, { tokens: [], before: null })
      assert.deepStrictEqual(
        revoked.users.map(({ userId }) => userId),
        ["ada"]
      )
      assert.lengthOf(yield* client.libraries.administration({ params }), 4)
      const events = yield* server.log.read(libraryAdministration(notes), { after: 0, limit: 10 })
      assert.deepStrictEqual(
        events.map(({ event: { data, type } }) => [type, (data as { operator?: string }).operator]),
        ["LibrarySuspended", "LibraryResumed", "UserRevoked", "QuotaSet"].map((type) => [type, "grace"])
      )
      assert.deepInclude(events[0]?.event.data, payload)
    })
  )

  it.live(
    "lists the connections of the process and closes those that an operator names, and their clients may come back",
    () =>
      Effect.gen(function* () {
        const { client, server } = yield* start()
        const connect = (documentId: string, userId: string) =>
          Effect.flatMap(server.token("notes", { userId }), (token) =>
            connectRaw({ url: server.url, documentId, token })
          )
        const [, bob] = [yield* connect("diary", "ada"), yield* connect("plans", "bob")]
        const listed = yield* client.server.connections({ query: { libraryId: notes } })
        assert.deepStrictEqual(
          listed.map(({ documentId, protocol, userId }) => ({ documentId, protocol, userId })),
          [
            { documentId: "diary", protocol: "secsync", userId: "ada" },
            { documentId: "plans", protocol: "secsync", userId: "bob" }
          ]
        )
        assert.strictEqual(listed[0]?.state, "live")
        assert.isAbove(listed[0]?.endsAt ?? 0, Date.now())
        assert.deepStrictEqual(yield* client.server.connections({ query: { userId: "nobody" } }), [])
        assert.deepStrictEqual(yield* client.server.disconnect({ payload: { id: listed[1]!.id } }), { disconnected: 1 })
        assert.strictEqual((yield* bob.closed).code, 1013)
        yield* connect("plans", "bob")
        yield* until(
          "the other connection alone is gone",
          Effect.map(client.server.connections({ query: {} }), ({ length }) => length === 2)
        )
      })
  )

  it.live("adds, tries, shows and removes webhooks, and its process delivers at once", () =>
    Effect.gen(function* () {
      const { client, server, token } = yield* start()
      const receiver = yield* startReceiver
      const writer = yield* connectRaw({ url: server.url, documentId: "diary", token: yield* server.token("notes") })
      writer.send(snapshotMessage(makeAuthor(), { docId: "diary" }))
      yield* writer.next("snapshot-saved")

      const url = `${receiver.url}?key=of-the-receiver`
      const payload = { url, from: "start", libraries: [notes], reason: "a new backend" } as const
      const { id, secret } = yield* client.webhooks.add({ payload })
      yield* receiver.untilTaken(1)
      assert.isTrue(isSigned(secret, receiver.taken()[0]!))
      const params = { webhookId: id }
      assert.deepStrictEqual(yield* client.webhooks.test({ params }), { status: 200 })
      receiver.answer(() => 500)
      assert.property(yield* client.webhooks.test({ params }), "problem")
      receiver.answer(() => 200)
      const [listed] = yield* client.webhooks.list()
      assert.deepInclude(listed, { id, url, libraries: [notes], types: null, stopped: 0 })
      // The client takes a field that is absent as null.
      const headers = { authorization: `Bearer ${token}` }
      const written = yield* Effect.promise(async () =>
        (await fetch(`http://127.0.0.1:${server.port}/admin/api/webhooks`, { headers })).json()
      )
      assert.property(written[0], "deliveredAt")
      assert.deepInclude(yield* client.webhooks.show({ params }), { id, deadLetters: [] })
      assert.deepStrictEqual(yield* client.webhooks.replay({ params, payload: {} }), { libraries: [] })
      const events = yield* server.log.read(webhookStream(id), { after: 0 })
      assert.deepInclude(events[0]?.event.data, { operator: "grace", reason: "a new backend" })

      assert.deepStrictEqual(yield* client.webhooks.remove({ params, payload: {} }), { changed: true })
      for (const refused of [
        Effect.asVoid(client.webhooks.show({ params })),
        Effect.asVoid(client.webhooks.test({ params })),
        Effect.asVoid(client.webhooks.remove({ params, payload: {} })),
        Effect.asVoid(client.webhooks.replay({ params, payload: {} }))
      ]) {
        const error = yield* Effect.flip(refused)
        assert.deepInclude(error, { _tag: "NotInLog", what: "webhook" })
      }
      const unknown = { url, libraries: [LibraryId.make("typo")] }
      assert.deepInclude(yield* Effect.flip(client.webhooks.add({ payload: unknown })), { what: "library" })
      for (let i = 0; i < MAX_WEBHOOKS; i++) yield* client.webhooks.add({ payload: { url } })
      assert.strictEqual((yield* Effect.flip(client.webhooks.add({ payload: { url } })))._tag, "WebhooksFull")
    })
  )

  it.live("is closed to everybody without a valid token of an operator", () =>
    Effect.gen(function* () {
      const { client, mintAdmin, server, token } = yield* start()
      const expired = yield* mintAdmin({ name: "grace", expiresIn: Duration.seconds(-5) })
      const ofUser = yield* server.token("notes", { userId: "grace" })
      const other = yield* Effect.orDie(
        JwtAccess.makeVerifier({ secrets: [Redacted.make("another-secret-of-32-characters-or-more")] })
      )
      const forged = yield* other.mintAdmin({ name: "grace" })
      for (const refused of ["", "x", expired, ofUser, forged]) {
        const asked = yield* clientOf(server, refused)
        assert.strictEqual((yield* Effect.flip(asked.libraries.list({ query: {} })))._tag, "NotAdministrator")
        const disconnect = asked.server.disconnect({ payload: { all: true } })
        assert.strictEqual((yield* Effect.flip(disconnect))._tag, "NotAdministrator")
      }
      // An operator's token is no client's.
      assert.strictEqual(yield* upgradeStatus(server, token), 401)
      yield* revoke({ userId: "grace" }).pipe(
        Effect.provideService(EventLog, server.log),
        Effect.provide(Signals.layerNone)
      )
      assert.strictEqual((yield* Effect.flip(client.libraries.list({ query: {} })))._tag, "NotAdministrator")
    })
  )

  it.live("answers hostile requests with 400, 401 or 404", () =>
    Effect.gen(function* () {
      const { server, token } = yield* start()
      const ask = (path: string, init: RequestInit = {}) =>
        Effect.promise(async () => {
          const url = `http://127.0.0.1:${server.port}/admin/api${path}`
          return (
            await fetch(url, {
              ...init,
              headers: { authorization: `Bearer ${token}`, "content-type": "application/json" }
            })
          ).status
        })
      const post = (path: string, body: string) => ask(path, { method: "POST", body })
      const paths = [
        "/libraries?limit=1e9",
        "/libraries?limit=-1",
        "/libraries?after=%00",
        "/libraries/notes/documents?after=%00",
        `/libraries/${"x".repeat(390)}`
      ]
      for (const path of paths) assert.include([400, 404], yield* ask(path), path)
      // Postgres could not even look for such a stream.
      assert.strictEqual(yield* ask("/events?libraryId=notes&streamId=%00"), 400)
      const longest = encodeURIComponent("😀".repeat(200))
      assert.notStrictEqual(yield* ask(`/events?libraryId=notes&streamId=${longest}`), 400)
      assert.strictEqual(yield* ask("/libraries/unknown"), 404)
      assert.strictEqual(yield* ask("/libraries/unknown/documents/a/events"), 404)
      assert.strictEqual(yield* post("/libraries/unknown/suspend", "{}"), 404)
      for (const body of ["", "{", "[]", `{"reason":${JSON.stringify("x".repeat(501))}}`, '{"reason":"\\u001b[2J"}']) {
        assert.strictEqual(yield* post("/libraries/notes/suspend", body), 400, body.slice(0, 40))
      }
      assert.strictEqual(yield* post("/libraries/notes/quota", '{"quota":{"objects":-1}}'), 400)
      for (const url of ["ftp://example.org", "https://user:password@example.org/", "http://[", "x".repeat(3000)])
        assert.strictEqual(yield* post("/webhooks", JSON.stringify({ url })), 400, url.slice(0, 40))
      assert.strictEqual(yield* post("/webhooks", '{"url":"https://example.org","libraries":[]}'), 400)
      assert.strictEqual(yield* post("/webhooks/0123456789ab/replay", '{"skip":true}'), 400)
      assert.strictEqual(yield* post("/webhooks/0123456789ab/test", "{}"), 404)
      assert.include([400, 404], yield* ask("/webhooks/.."))
      // A request that names nobody concerns nobody.
      assert.strictEqual(yield* post("/connections/disconnect", "{}"), 400)
      assert.strictEqual(yield* post("/libraries/notes/revoke", '{"whose":{}}'), 400)
      for (const text of ["", "\u0000", "\ud800", "x".repeat(201)])
        assert.strictEqual(yield* post("/revoke", JSON.stringify({ whose: { userId: text } })), 400, text.slice(0, 40))
    })
  )

  it.live("describes itself", () =>
    Effect.gen(function* () {
      const { server } = yield* start()
      const document = yield* Effect.promise(async () =>
        (await fetch(`http://127.0.0.1:${server.port}/admin/api/openapi.json`)).json()
      )
      assert.include(Object.keys(document.paths), "/admin/api/libraries/{libraryId}/evict")
    })
  )
})

const upgradeStatus = ({ url }: TestServer, token: string) =>
  Effect.callback<number>((resume) => {
    const socket = new WebSocket(`${url}/verdant`, ["Bearer", token])
    socket.on("error", () => {})
    socket.on("unexpected-response", (_, response) => resume(Effect.succeed(response.statusCode ?? 0)))
    socket.on("open", () => resume(Effect.succeed(101)))
  })
