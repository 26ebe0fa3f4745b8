/** The metrics of a real server, as a scraper reads them. */
import { connect } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Redacted } from "effect"
import { connectRaw, openRaw } from "#test-support/clients/RawSecsync"
import { connectVerdant, post, refusedUpgrade, registerReplica } from "#test-support/clients/RawVerdant"
import { startDocument } from "#test-support/secsync/startDocument"
import { scrape, untilRisen } from "#test-support/servers/scrape"
import { startMemoryServer, type TestServerOptions } from "#test-support/servers/TestServer"
import { makeSharedSignals, makeTroubledLog } from "#test-support/storage/TroubledLog"
import { until } from "#test-support/until"
import { libraryOn } from "#test-support/verdant/Library"
import { initialize, makeReplica } from "#test-support/verdant/Replica"
import { allFamilies } from "../../src/metrics/Family.ts"
import { ephemeralMessage, makeAuthor, updateMessage } from "../../src/testing/SealedMessages.ts"

/** A server with its metrics on a port of their own, and its metrics at the start. */
const start = Effect.fnUntraced(function* (options: TestServerOptions = {}) {
  const server = yield* startMemoryServer({ metrics: { port: 0 }, ...options })
  const before = yield* scrape(server)
  const risen = (name: string, labels?: Readonly<Record<string, string>>, by?: number) =>
    untilRisen(server, before, name, labels, by)
  return { server, before, risen }
})

const statusOf = (url: string, token?: string): Effect.Effect<number> =>
  Effect.promise(async () => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    return (await fetch(url, { headers })).status
  })

describe("the route of the metrics", () => {
  it.live("is not there by default", () =>
    Effect.gen(function* () {
      const { port } = yield* startMemoryServer()
      assert.strictEqual(yield* statusOf(`http://127.0.0.1:${port}/metrics`, "anything"), 404)
    })
  )

  it.live("answers on the server's port only to who sends the token", () =>
    Effect.gen(function* () {
      const { port } = yield* startMemoryServer({ metrics: { token: Redacted.make("a-token-of-a-scraper") } })
      const url = `http://127.0.0.1:${port}/metrics`
      assert.strictEqual(yield* statusOf(url), 401)
      assert.strictEqual(yield* statusOf(url, "another"), 401)
      assert.strictEqual(yield* statusOf(url, "a-token-of-a-scrape"), 401)
      assert.strictEqual(yield* statusOf(url, ""), 401)
      assert.strictEqual(yield* statusOf(url, "a-token-of-a-scraper"), 200)
    })
  )

  it.live("answers on its own port without a token, and not on the server's", () =>
    Effect.gen(function* () {
      const { metricsPort, port } = yield* startMemoryServer({ metrics: { port: 0 } })
      assert.strictEqual(yield* statusOf(`http://127.0.0.1:${metricsPort}/metrics`), 200)
      assert.strictEqual(yield* statusOf(`http://127.0.0.1:${port}/metrics`), 404)
      assert.strictEqual(yield* statusOf(`http://127.0.0.1:${metricsPort}/healthz`), 404)
    })
  )

  it.live("answers scrapers that address the server by another host than its origins", () =>
    Effect.gen(function* () {
      const metrics = { token: Redacted.make("scraper") }
      const { port } = yield* startMemoryServer({ metrics, origins: ["https://app.example.org"] })
      assert.strictEqual(yield* statusOf(`http://127.0.0.1:${port}/metrics`, "scraper"), 200)
    })
  )
})

describe("the metrics", () => {
  it.live("are all there before anything happens, each with a type and a description", () =>
    Effect.gen(function* () {
      const { before } = yield* start()
      const declared = allFamilies().map(({ declaration }) => declaration.name)
      assert.deepStrictEqual([...before.names].sort(), declared.toSorted())
      for (const { declaration, type } of allFamilies()) {
        assert.include(before.text, `# HELP ${declaration.name} ${declaration.description}\n`)
        assert.include(before.text, `# TYPE ${declaration.name} ${type}\n`)
        assert.strictEqual(declaration.name.endsWith("_total"), type === "counter", declaration.name)
      }
    })
  )

  it.live("count connections, frames, bytes, events and commits", () =>
    Effect.gen(function* () {
      const { before, risen, server } = yield* start()
      const { author, client, docId, refSnapshotId } = yield* startDocument(server)
      for (let clock = 0; clock < 10; clock++) client.send(updateMessage(author, { docId, refSnapshotId, clock }))
      yield* client.next("update-saved", ({ clock }) => clock === 9)
      yield* risen("sealog_events_stored_total", { type: "UpdateStored" }, 10)
      yield* risen("sealog_events_stored_total", { type: "SnapshotStored" }, 1)
      const { value } = yield* scrape(server)
      const change = (name: string, labels = {}) => value(name, labels)! - before.value(name, labels)!
      assert.strictEqual(value("sealog_connections", { protocol: "secsync" }), 1)
      assert.strictEqual(value("sealog_rooms", { protocol: "secsync" }), 1)
      assert.strictEqual(change("sealog_connections_opened_total", { protocol: "secsync" }), 1)
      assert.isAtLeast(change("sealog_frames_received_total", { protocol: "secsync" }), 11)
      assert.isAtLeast(change("sealog_received_bytes_total", { protocol: "secsync" }), 11 * 100)
      assert.isAtLeast(change("sealog_frames_sent_total", { protocol: "secsync" }), 12)
      assert.isAtLeast(change("sealog_sent_bytes_total", { protocol: "secsync" }), 12 * 20)
      assert.strictEqual(change("sealog_commit_events_sum"), 11)
      assert.isAtLeast(change("sealog_commit_seconds_count"), 2)
      assert.isAtLeast(change("sealog_signatures_verified_total"), 11)
      assert.isAtLeast(change("sealog_fan_out_seconds_count", { protocol: "secsync" }), 2)
      assert.isAbove(value("process_resident_memory_bytes")!, 10_000_000)
      assert.isAbove(value("process_cpu_seconds_total")!, 0)
    })
  )

  it.live("count failures of the storage, conflicts, and the lag between two servers", () =>
    Effect.gen(function* () {
      const [{ layer, trouble }, signals] = [yield* makeTroubledLog, yield* makeSharedSignals]
      const server = yield* startMemoryServer({ metrics: { port: 0 } }, layer, signals)
      const other = yield* startMemoryServer({}, layer, signals)
      const before = yield* scrape(server)
      const risen = (name: string, labels: Readonly<Record<string, string>>) => untilRisen(server, before, name, labels)
      const { author, client, docId, options, refSnapshotId } = yield* startDocument(server)
      const [peer, writer] = [yield* connectRaw({ ...options, url: other.url }), makeAuthor()]
      client.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
      yield* peer.next("update")
      yield* risen("sealog_signal_lag_seconds_count", { protocol: "secsync" })
      trouble.beforeNextAppend = Effect.suspend(() => {
        peer.send(updateMessage(writer, { docId, refSnapshotId, clock: 0 }))
        return peer.next("update-saved")
      })
      client.send(updateMessage(author, { docId, refSnapshotId, clock: 1 }))
      yield* client.next("update-saved", ({ clock }) => clock === 1)
      yield* risen("sealog_conflicts_total", { protocol: "secsync" })
      trouble.down = true
      client.send(updateMessage(author, { docId, refSnapshotId, clock: 2 }))
      assert.strictEqual((yield* client.closed).code, 1013)
      yield* risen("sealog_storage_errors_total", { kind: "unavailable" })
      const reason = "the storage is not available"
      yield* risen("sealog_connections_closed_total", { protocol: "secsync", code: "1013", reason })
    })
  )

  it.live("show the libraries in memory, and those near their quota", () =>
    Effect.gen(function* () {
      const { server } = yield* start({ quota: { objects: 5 } })
      const library = libraryOn(server)
      const connection = yield* connectVerdant(library, yield* library.token({ userId: "ada" }))
      const replica = makeReplica()
      yield* registerReplica(connection, replica)
      connection.send(replica.op(...["a", "b", "c", "d"].map((id) => replica.operation(`notes/${id}`, initialize({})))))
      yield* connection.next("server-ack")
      const { value } = yield* scrape(server)
      assert.strictEqual(value("sealog_open_library_objects"), 4)
      assert.strictEqual(value("sealog_libraries_near_quota", { part: "objects" }), 1)
      assert.strictEqual(value("sealog_libraries_near_quota", { part: "bytes" }), 0)
    })
  )
})

describe("a limit that is reached shows as a", () => {
  it.live("closed connection: a frame that is too large", () =>
    Effect.gen(function* () {
      const { risen, server } = yield* start({ limits: { maxFrameBytes: 10_000 } })
      const { client } = yield* startDocument(server)
      client.send("x".repeat(20_000))
      assert.strictEqual((yield* client.closed).code, 1009)
      yield* risen("sealog_connections_closed_total", { code: "1009", reason: "the frame is too large" })
      yield* until(
        "no connection is open",
        Effect.map(scrape(server), ({ value }) => value("sealog_connections") === 0)
      )
    })
  )

  it.live("closed connection: malformed messages in a row, each of which is a refusal", () =>
    Effect.gen(function* () {
      const { risen, server } = yield* start()
      const { author, client, docId, refSnapshotId } = yield* startDocument(server)
      const wrong = { ...updateMessage(author, { docId, refSnapshotId, clock: 0 }), signature: "A".repeat(86) }
      for (let i = 0; i < 101; i++) client.send(wrong)
      assert.strictEqual((yield* client.closed).code, 1008)
      const reason = "too many malformed or wrongly signed messages"
      yield* risen("sealog_connections_closed_total", { protocol: "secsync", code: "1008", reason })
      yield* risen("sealog_refusals_total", { protocol: "secsync", rule: "SignatureInvalid" }, 100)
    })
  )

  it.live("refusal: a quota, in both protocols", () =>
    Effect.gen(function* () {
      const { risen, server } = yield* start({ quota: { documentBytes: 2000, objects: 1 } })
      const { author, client, docId, refSnapshotId } = yield* startDocument(server)
      for (let clock = 0; clock < 3; clock++) {
        client.send(updateMessage(author, { docId, refSnapshotId, clock, ciphertext: 1000 }))
      }
      yield* client.next("update-save-failed")
      yield* risen("sealog_refusals_total", { protocol: "secsync", rule: "SnapshotDue" })
      const library = libraryOn(server)
      const connection = yield* connectVerdant(library, yield* library.token({ userId: "ada" }))
      const replica = makeReplica()
      yield* registerReplica(connection, replica)
      connection.send(replica.op(...["a", "b"].map((id) => replica.operation(`notes/${id}`, initialize({})))))
      yield* connection.next("forbidden")
      yield* risen("sealog_refusals_total", { protocol: "verdant", rule: "NotTaken" })
    })
  )

  it.live("refused request: places, addresses, and the route's own refusals", () =>
    Effect.gen(function* () {
      const { risen, server } = yield* start({ limits: { maxConnections: 1, maxConnectionsPerAddress: 3 } })
      const library = libraryOn(server)
      const token = yield* library.token({ userId: "ada" })
      yield* connectVerdant(library, token)
      assert.strictEqual(yield* refusedUpgrade(library, ["Bearer", token]), 503)
      yield* risen("sealog_requests_refused_total", { route: "upgrade", status: "503", reason: "connections" })
      assert.strictEqual((yield* post(library, "wrong", [])).status, 401)
      yield* risen("sealog_requests_refused_total", { route: "poll", status: "401", reason: "route" })
      yield* risen("sealog_requests_total", { route: "poll" })
      yield* Effect.forEach([1, 2, 3], () => connectTcp(server.port))
      yield* risen("sealog_requests_refused_total", {
        route: "connection",
        status: "429",
        reason: "address_connections"
      })
    })
  )

  it.live("delay: frames that come before the client is admitted", () =>
    Effect.gen(function* () {
      const asked = yield* Deferred.make<void>()
      const { risen, server } = yield* start({ allows: () => Effect.as(Deferred.await(asked), true) })
      const token = yield* server.token("library")
      const client = yield* openRaw({ url: server.url, documentId: "document", token })
      const message = JSON.stringify(ephemeralMessage(makeAuthor(), { docId: "document", ciphertext: 30_000 }))
      for (let i = 0; i < 3; i++) client.send(message)
      yield* risen("sealog_frames_delayed_total", { cause: "full_queue" })
      yield* Deferred.succeed(asked, undefined)
      yield* client.next("document")
    })
  )

  it.live("drop: an ephemeral message that comes again", () =>
    Effect.gen(function* () {
      const { risen, server } = yield* start()
      const { author, client, docId, options } = yield* startDocument(server)
      const other = yield* connectRaw(options)
      const message = ephemeralMessage(author, { docId })
      client.send(message)
      client.send(message)
      yield* other.next("ephemeral-message")
      yield* risen("sealog_messages_dropped_total", { cause: "ephemeral_replay" })
    })
  )
})

/** Connects, and sends nothing. */
const connectTcp = (port: number) =>
  Effect.acquireRelease(
    Effect.sync(() => connect(port, "127.0.0.1").on("error", () => {})),
    (socket) => Effect.sync(() => socket.destroy())
  )
