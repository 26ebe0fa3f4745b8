/** `GET /changes`: a backend receives every change once and in order, and only with the right to it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Scope } from "effect"
import { type ChangeRequest, openChanges, type SentEvent } from "#test-support/clients/ChangeStream"
import { connectRaw } from "#test-support/clients/RawSecsync"
import { connectVerdant, registerReplica } from "#test-support/clients/RawVerdant"
import { startMounted } from "#test-support/servers/MountedServer"
import { scrape } from "#test-support/servers/scrape"
import { startMemoryServer, type TestServerOptions } from "#test-support/servers/TestServer"
import { until } from "#test-support/until"
import { libraryOn } from "#test-support/verdant/Library"
import { initialize, makeReplica } from "#test-support/verdant/Replica"
import { evict } from "../../../src/admin/Eviction.ts"
import { revoke } from "../../../src/admin/Revocation.ts"
import { DocumentId } from "../../../src/domain/Ids.ts"
import { EventLog } from "../../../src/ports/EventLog.ts"
import { Signals } from "../../../src/ports/Signals.ts"
import { makeAuthor, snapshotMessage, updateMessage } from "../../../src/testing/SealedMessages.ts"

/** A server with a library, a Verdant client that writes to it, and a backend with the right to its changes. */
const start = Effect.fnUntraced(function* (options: TestServerOptions = {}) {
  const server = yield* startMemoryServer(options)
  const library = libraryOn(server)
  const backend = yield* library.token({ userId: "backend", changes: true })
  const replica = makeReplica()
  const client = yield* connectVerdant(library, yield* library.token({ userId: "ada" }))
  yield* registerReplica(client, replica)
  let written = 0
  const write = (count: number, value: (number: number) => unknown = (number) => ({ number })) =>
    Effect.gen(function* () {
      for (let i = 0; i < count; i++) {
        written += 1
        client.send(replica.op(replica.operation(`item/${written}`, initialize(value(written)))))
      }
      yield* client.settled
      yield* until(
        "the operations are acknowledged",
        () => client.messages.filter(({ type }) => type === "server-ack").length >= written
      )
    })
  const listen = (request: ChangeRequest = {}) => openChanges(server, { token: backend, ...request })
  return { server, library, backend, write, listen, client, replica }
})

/** The numbers of the items that changes are about. */
const itemsOf = (changes: ReadonlyArray<SentEvent>) => changes.map(({ data }) => Number(data.data.documents[0].id))

const upTo = (count: number, from = 1) => Array.from({ length: count - from + 1 }, (_, i) => i + from)

it.live("an app's server leaves the path to the app, unless the app says otherwise", () =>
  Effect.gen(function* () {
    const statusOf = (url: string, headers: Readonly<Record<string, string>> = {}) =>
      Effect.promise(async () => (await fetch(url, { headers })).status)
    const plain = yield* startMounted({ path: "/sync" })
    assert.strictEqual(yield* statusOf(`${plain.url}/sync/changes`), 204)
    const { sealog, url } = yield* startMounted({ path: "/sync", serveChanges: true })
    assert.strictEqual(yield* statusOf(`${url}/changes`), 204)
    assert.strictEqual(yield* statusOf(`${url}/sync/changes`), 401)
    const request = { userId: "backend", libraryId: "notes" }
    const [user, backend] = yield* Effect.promise(() =>
      Promise.all([sealog.mint(request), sealog.mint({ ...request, changes: true })])
    )
    assert.strictEqual(yield* statusOf(`${url}/sync/changes`, { authorization: `Bearer ${user}` }), 403)
    const controller = new AbortController()
    const answer = yield* Effect.promise(() =>
      fetch(`${url}/sync/changes?after=0`, {
        signal: controller.signal,
        headers: { authorization: `Bearer ${backend}` }
      })
    )
    assert.strictEqual(answer.status, 200)
    const first = yield* Effect.promise(() => answer.body!.getReader().read())
    assert.strictEqual(Buffer.from(first.value!).toString(), "retry: 2000\nid: 0\n\n")
    controller.abort()
  })
)

describe("a backend", () => {
  it.live("receives the changes of a library with their types, versions and times", () =>
    Effect.gen(function* () {
      const { library, listen, write } = yield* start()
      const stream = yield* listen()
      assert.strictEqual(stream.status, 200)
      assert.include(stream.response.headers["content-type"], "text/event-stream")
      assert.strictEqual(stream.response.headers["x-accel-buffering"], "no")
      yield* until("the first id arrives", () => stream.events.length > 0)
      yield* write(3)
      yield* until("three changes arrive", () => stream.changes().length === 3)
      assert.deepStrictEqual(itemsOf(stream.changes()), [1, 2, 3])
      const [{ data, id } = {}] = stream.changes()
      assert.strictEqual(data.type, "verdant.changed")
      assert.strictEqual(data.data.libraryId, library.id)
      assert.strictEqual(data.data.userId, "ada")
      assert.strictEqual(String(data.data.version), id)
      assert.strictEqual(data.timestamp, new Date(data.data.recordedAt).toISOString())
      assert.strictEqual(data.data.operations[0].data.value.number, 1)
    })
  )

  it.live(
    "goes on after the version that it names, by header or by query, without a gap and without a repetition",
    () =>
      Effect.gen(function* () {
        const { listen, write } = yield* start()
        yield* write(250)
        const all = yield* listen({ query: "?after=0" })
        yield* until("all arrive", () => all.changes().length === 250)
        assert.deepStrictEqual(itemsOf(all.changes()), upTo(250))
        const versions = all.versions()
        const byHeader = yield* listen({ query: "?after=0", lastEventId: String(versions[99]) })
        const byQuery = yield* listen({ query: `?after=${versions[199]}` })
        yield* write(10)
        yield* until("the rest arrives", () => byHeader.changes().length === 160 && byQuery.changes().length === 60)
        assert.deepStrictEqual(itemsOf(byHeader.changes()), upTo(260, 101))
        assert.deepStrictEqual(itemsOf(byQuery.changes()), upTo(260, 201))
      })
  )

  it.live("that was cut off before the first change comes back with the id that it was sent at the start", () =>
    Effect.gen(function* () {
      const { listen, write } = yield* start()
      yield* write(2)
      const first = yield* listen()
      yield* until("the first id arrives", () => first.events.length > 0)
      const { id = "" } = first.events[0]!
      first.response.destroy()
      yield* write(2)
      const second = yield* listen({ lastEventId: id })
      yield* until("the changes between arrive", () => second.changes().length === 2)
      assert.deepStrictEqual(itemsOf(second.changes()), [3, 4])
    })
  )

  it.live("receives of a Secsync document what the server sees, and nothing sealed", () =>
    Effect.gen(function* () {
      const { library, listen, server } = yield* start()
      const [docId, author] = [DocumentId.make("team/notes"), makeAuthor()]
      const snapshot = snapshotMessage(author, { docId })
      const { snapshotId } = snapshot.publicData
      const stream = yield* listen({ query: "?document=team%2Fnotes" })
      const token = yield* library.token({ userId: "ada" })
      const client = yield* connectRaw({ url: server.url, documentId: docId, token })
      client.send(snapshot)
      yield* client.next("snapshot-saved")
      client.send(updateMessage(author, { docId, refSnapshotId: snapshotId, clock: 0 }))
      yield* client.next("update-saved")
      yield* evict({ libraryId: library.id, documentId: docId }).pipe(
        Effect.provideService(EventLog, server.log),
        Effect.provide(Signals.layerNone)
      )
      yield* stream.untilVersion(2)
      const [stored, update] = stream.changes().map(({ data }) => data)
      const { recordedAt, payloadBytes, ...sees } = stored.data
      assert.strictEqual(stored.type, "secsync.snapshot_stored")
      assert.deepStrictEqual(sees, {
        ...{ _tag: "SnapshotStored", libraryId: library.id, documentId: docId, version: 1 },
        ...{ snapshotId, parentSnapshotId: "", pubKey: author.pubKey }
      })
      assert.isAbove(payloadBytes, 0)
      assert.strictEqual(update.type, "secsync.update_stored")
      assert.strictEqual(update.data.clock, 0)
      assert.notInclude(JSON.stringify(stream.events), snapshot.ciphertext)
      assert.notInclude(JSON.stringify(stream.events), snapshot.signature)
    })
  )

  it.live.each([
    ["without a token", {}, undefined, 401, 4010],
    ["with the token of a user", { userId: "ada" }, "", 403, 4030],
    ["with a token for a document only, of the library", { changes: true, documents: ["a" as never] }, "", 403, 4030],
    [
      "of a document that its token does not reach",
      { changes: true, documents: ["a" as never] },
      "?document=b",
      403,
      4030
    ],
    ["with a version that is no number", { changes: true }, "?after=x", 400, 4000],
    ["with a version that the log does not have", { changes: true }, "?after=1000", 409, 4090],
    ["of a document whose name is none", { changes: true }, "?document=%3F", 404, 4040]
  ] as const)("is refused %s", ([_, request, query, status, code]) =>
    Effect.gen(function* () {
      const { library, listen } = yield* start()
      const token = query === undefined ? undefined : yield* library.token({ userId: "backend", ...request })
      const stream = yield* listen({ token, query: query ?? "" })
      const body = yield* Effect.promise(() => stream.response.toArray())
      assert.strictEqual(stream.status, status)
      assert.deepStrictEqual(JSON.parse(body.join("")), { code })
    })
  )

  it.live("that gives its token in the URL is refused", () =>
    Effect.gen(function* () {
      const { backend, listen } = yield* start()
      assert.strictEqual(
        (yield* listen({ token: undefined, query: `?token=${backend}&access_token=${backend}` })).status,
        401
      )
    })
  )

  it.live("is sent away when its token is revoked, and when it expires", () =>
    Effect.gen(function* () {
      const { library, listen, server, write } = yield* start()
      const [revoked, expires] = [
        yield* listen(),
        yield* listen({ token: yield* library.token({ userId: "other", changes: true, expiresIn: 2000 as never }) })
      ]
      assert.strictEqual(yield* expires.ended, true)
      assert.deepStrictEqual(expires.events.at(-1), { event: "end", data: { code: 4012 } })
      yield* revoke({ userId: "backend", libraryId: library.id }).pipe(
        Effect.provideService(EventLog, server.log),
        Effect.provide(Signals.layerNone)
      )
      // In one process no signal says so. The next client that is admitted reads the administration for all.
      yield* listen({ token: yield* library.token({ userId: "third", changes: true }) })
      assert.strictEqual(yield* revoked.ended, true)
      assert.deepStrictEqual(revoked.events.at(-1), { event: "end", data: { code: 4011 } })
      assert.strictEqual((yield* listen()).status, 401)
      yield* write(1)
      assert.strictEqual(revoked.changes().length, 0)
    })
  )

  it.live("is sent away when the app's rights changed, and is refused by the policy afterwards", () =>
    Effect.gen(function* () {
      let allowed = true
      const { library, listen, server } = yield* start({
        allows: (_, action) => Effect.succeed(action._tag !== "ReceiveChanges" || allowed)
      })
      const stream = yield* listen()
      assert.strictEqual(stream.status, 200)
      allowed = false
      yield* Effect.orDie(server.changed({ libraryId: library.id }))
      assert.strictEqual(yield* stream.ended, true)
      assert.deepStrictEqual(stream.events.at(-1), { event: "end", data: { code: 4030 } })
      assert.strictEqual((yield* listen()).status, 403)
    })
  )

  it.live("beyond the places is answered with 503, and has a place again when another has gone", () =>
    Effect.gen(function* () {
      const { listen, server } = yield* start({ limits: { maxChangeStreams: 2 }, metrics: { port: 0 } })
      const [first] = [yield* listen(), yield* listen()]
      assert.strictEqual((yield* listen()).status, 503)
      assert.strictEqual((yield* scrape(server)).value("sealog_change_streams"), 2)
      first.response.destroy()
      yield* until("a place is free", Effect.scoped(Effect.map(listen(), ({ status }) => status === 200)))
    })
  )

  it.live("beyond the places of its library is answered with 503, and holds up no other library", () =>
    Effect.gen(function* () {
      const { listen, server } = yield* start({ limits: { maxChangeStreamsPerLibrary: 2 } })
      const statuses = [yield* listen(), yield* listen(), yield* listen()].map(({ status }) => status)
      assert.deepStrictEqual(statuses, [200, 200, 503])
      const token = yield* libraryOn(server).token({ userId: "backend", changes: true })
      assert.strictEqual((yield* listen({ token })).status, 200)
    })
  )

  it.live("that does not read holds up no other, and makes the server read only as much as fits on its way", () =>
    Effect.gen(function* () {
      const { listen, server, write } = yield* start()
      yield* write(100, (number) => ({ number, text: "x".repeat(150_000) }))
      let largest = 0
      const read = server.log.read
      Object.assign(server.log, {
        read: ((key, options) =>
          Effect.tap(read(key, options), (events) =>
            Effect.sync(() => {
              if (isFollowed)
                for (const { event, payload } of events)
                  if (payload !== null) largest = Math.max(largest, event.version)
            })
          )) satisfies typeof read
      })
      let isFollowed = true
      const slow = yield* listen({ query: "?after=0", isPaused: true })
      yield* until(
        "the slow client's pages stop",
        stands(() => largest)
      )
      isFollowed = false
      assert.isBelow(largest, 100, "the server read on to the end")
      const quick = yield* listen({ query: "?after=0" })
      yield* until("the other client has all", () => quick.changes().length === 100)
      slow.response.destroy()
    })
  )

  it.live("is sent away with a last event when the server closes, and its response ends", () =>
    Effect.gen(function* () {
      const outer = yield* Effect.scope
      const stream = yield* Effect.scoped(
        Effect.gen(function* () {
          const { listen, write } = yield* start()
          yield* write(1)
          const stream = yield* Effect.provideService(listen({ query: "?after=0" }), Scope.Scope, outer)
          yield* until("the change arrives", () => stream.changes().length === 1)
          return stream
        })
      )
      assert.strictEqual(yield* stream.ended, true)
      assert.deepStrictEqual(stream.events.at(-1), { event: "end", data: { code: 5030 } })
    })
  )
})

/** Whether a number has not changed for thirty looks. */
const stands = (number: () => number) => {
  let [last, looks] = [-1, 0]
  return () => {
    looks = number() === last && last > 0 ? looks + 1 : 0
    last = number()
    return looks > 30
  }
}
