/** The app's policy is asked for every message and every route, and its answer holds. */
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Latch, Redacted } from "effect"
import { connectRaw, openRaw } from "#test-support/clients/RawSecsync"
import { connectVerdant, post, refusedUpgrade, registerReplica } from "#test-support/clients/RawVerdant"
import { ask, bearer } from "#test-support/network/uploads"
import { startMemoryServer, type TestServer, type TestServerOptions } from "#test-support/servers/TestServer"
import { until } from "#test-support/until"
import { libraryOn } from "#test-support/verdant/Library"
import { initialize, makeReplica, type Replica } from "#test-support/verdant/Replica"
import type { FileId } from "../../src/domain/Ids.ts"
import type { Action, Grant } from "../../src/ports/Access.ts"
import type * as Secsync from "../../src/protocols/secsync/Wire.ts"
import { MESSAGE_TYPES } from "../../src/protocols/verdant/Wire.ts"
import {
  type Author,
  ephemeralMessage,
  makeAuthor,
  type SealedSnapshot,
  snapshotMessage,
  updateMessage
} from "../../src/testing/SealedMessages.ts"

type Tag = Action["_tag"]

/** A policy that notes what it is asked, and refuses the actions that a test names. */
const makePolicy = () => {
  const asked: Array<Action> = []
  const refused = new Set<Tag>()
  return {
    asked,
    refused,
    tags: () => asked.map(({ _tag }) => _tag),
    allows: (_: Grant, action: Action) => {
      asked.push(action)
      return Effect.succeed(!refused.has(action._tag))
    }
  }
}

const start = Effect.gen(function* () {
  const policy = makePolicy()
  return { policy, server: yield* startMemoryServer({ allows: policy.allows }) }
})

// ---------------------------------------------------------------------------------------------------------- Secsync

interface SecsyncDocument {
  readonly docId: string
  readonly author: Author
  readonly snapshot: SealedSnapshot
}

interface SecsyncRow {
  readonly message: (document: SecsyncDocument) => object | string
  /** undefined: nothing is asked, because the message is refused as malformed. */
  readonly asks: Tag | undefined
}

const secsync: { readonly [Kind in Secsync.ClientMessage["_tag"]]: SecsyncRow } = {
  Snapshot: {
    asks: "WriteSnapshot",
    message: ({ author, docId, snapshot }) => snapshotMessage(author, { docId, parent: snapshot, clocks: {} })
  },
  Update: {
    asks: "WriteUpdate",
    message: ({ author, docId, snapshot }) =>
      updateMessage(author, { docId, refSnapshotId: snapshot.publicData.snapshotId, clock: 0 })
  },
  Ephemeral: { asks: "SendEphemeralMessage", message: ({ author, docId }) => ephemeralMessage(author, { docId }) },
  MalformedSnapshot: { asks: undefined, message: () => ({ publicData: { snapshotId: "x" } }) },
  MalformedUpdate: { asks: undefined, message: () => ({ publicData: { refSnapshotId: "x" } }) },
  NotAMessage: { asks: undefined, message: () => ({}) },
  NotJson: { asks: undefined, message: () => "not json" }
}

describe("a Secsync client", () => {
  const open = Effect.fnUntraced(function* (server: TestServer) {
    const docId = crypto.randomUUID()
    const token = yield* server.token("notes")
    const connect = connectRaw({ url: server.url, documentId: docId, token })
    const author = makeAuthor()
    const snapshot = snapshotMessage(author, { docId })
    return { docId, author, snapshot, connect, token }
  })

  it.live.each(["Read", "Receive"] as const)("is refused when the policy does not allow %s", (tag) =>
    Effect.gen(function* () {
      const { policy, server } = yield* start
      policy.refused.add(tag)
      const { connect, docId } = yield* open(server)
      const client = yield* connect
      assert.deepStrictEqual(client.first, { type: "unauthorized" })
      assert.strictEqual((yield* client.closed).code, 4403)
      assert.deepStrictEqual(policy.asked.at(-1), { _tag: tag, documentId: docId } as Action)
    })
  )

  it.live.each(Object.entries(secsync))("sends a message of the kind %s only if the policy allows it", ([, row]) =>
    Effect.gen(function* () {
      const { policy, server } = yield* start
      const document = yield* open(server)
      const client = yield* document.connect
      client.send(document.snapshot)
      yield* client.next("snapshot-saved")
      const key = { libraryId: "notes" as never, streamId: document.docId }
      policy.asked.length = 0
      if (row.asks !== undefined) policy.refused.add(row.asks)
      client.send(row.message(document))
      if (row.asks === undefined) {
        yield* until("it is answered or closed", () => !client.isOpen() || client.frames.length > 2)
        return assert.deepStrictEqual(policy.asked, [])
      }
      yield* client.next("unauthorized")
      assert.strictEqual((yield* client.closed).code, 4403)
      assert.deepStrictEqual(policy.tags(), [row.asks])
      assert.strictEqual((yield* Effect.orDie(server.log.heads([key])))[0]?.version, 1)
    })
  )

  it.live("with a token that only reads is refused without the policy", () =>
    Effect.gen(function* () {
      const { policy, server } = yield* start
      const { author, docId } = yield* open(server)
      const token = yield* server.token("notes", { type: "read-only" })
      const client = yield* connectRaw({ url: server.url, documentId: docId, token })
      client.send(snapshotMessage(author, { docId }))
      yield* client.next("unauthorized")
      assert.deepStrictEqual(policy.tags(), ["Read", "Receive"])
    })
  )

  it.live("that forges another key's message is refused without the policy", () =>
    Effect.gen(function* () {
      const { policy, server } = yield* start
      const { connect, docId, author } = yield* open(server)
      const client = yield* connect
      const forged = {
        ...snapshotMessage(makeAuthor(), { docId }),
        signature: snapshotMessage(author, { docId }).signature
      }
      client.send(forged)
      yield* client.next("snapshot-save-failed")
      assert.deepStrictEqual(policy.tags(), ["Read", "Receive"])
    })
  )
})

// ---------------------------------------------------------------------------------------------------------- Verdant

interface VerdantRow {
  readonly message: (replica: Replica, collection: string) => object
  readonly asks: ReadonlyArray<Tag>
}

const item = (replica: Replica, collection: string) =>
  ["x", "x:part", "y"].map((id) => replica.operation(`${collection}/${id}`, initialize({ id })))

const verdant: { readonly [Type in (typeof MESSAGE_TYPES)[number]]: VerdantRow } = {
  sync: {
    asks: ["Read", "WriteOperation", "WriteOperation"],
    message: (replica, collection) => replica.sync({ since: replica.now(), operations: item(replica, collection) })
  },
  op: {
    asks: ["WriteOperation", "WriteOperation"],
    message: (replica, collection) => replica.op(...item(replica, collection))
  },
  "presence-update": { asks: ["SendPresence"], message: (replica) => replica.presence({ says: "hello" }) },
  // These concern the connection and the client's own progress.
  ack: { asks: [], message: (replica) => replica.ack({}) },
  "sync-ack": { asks: [], message: (replica) => replica.ack({ type: "sync-ack" }) },
  heartbeat: { asks: [], message: () => ({ type: "heartbeat" }) },
  disconnecting: { asks: [], message: (replica) => ({ type: "disconnecting", replicaId: replica.id }) }
}

describe("a Verdant client", () => {
  const open = Effect.fnUntraced(function* (server: TestServer) {
    const library = libraryOn(server)
    return { library, token: yield* library.token({ userId: "ada" }) }
  })

  it("may send no message whose question this test does not know", () =>
    assert.deepStrictEqual(Object.keys(verdant).sort(), [...MESSAGE_TYPES].sort()))

  it.live("is refused before the upgrade when the policy does not allow Read", () =>
    Effect.gen(function* () {
      const { policy, server } = yield* start
      policy.refused.add("Read")
      const { library, token } = yield* open(server)
      assert.strictEqual(yield* refusedUpgrade(library, ["Bearer", token]), 403)
      const { status, body } = yield* post(library, token, [])
      assert.deepStrictEqual({ status, body }, { status: 403, body: { code: 4030 } })
      assert.deepStrictEqual(policy.asked, [
        { _tag: "Read", documentId: undefined },
        { _tag: "Read", documentId: undefined }
      ])
    })
  )

  it.live("is refused when the policy does not allow Receive", () =>
    Effect.gen(function* () {
      const { policy, server } = yield* start
      policy.refused.add("Receive")
      const { library, token } = yield* open(server)
      const client = yield* connectVerdant(library, token)
      yield* client.next("forbidden")
      assert.deepStrictEqual(yield* client.closed, { code: 4403, reason: "not allowed" })
    })
  )

  it.live.each(Object.entries(verdant))("asks what a message of the type %s needs, on a socket", ([type, row]) =>
    Effect.gen(function* () {
      const { policy, server } = yield* start
      const { library, token } = yield* open(server)
      const replica = makeReplica()
      const client = yield* connectVerdant(library, token)
      yield* registerReplica(client, replica)
      policy.asked.length = 0
      client.send(row.message(replica, "item"))
      yield* type === "disconnecting" ? client.closed : client.settled
      assert.deepStrictEqual(policy.tags(), row.asks)
      const documents = policy.asked.flatMap((action) => (action._tag === "WriteOperation" ? [action.documentId] : []))
      assert.deepStrictEqual(documents, documents.length === 0 ? [] : ["x", "y"])
    })
  )

  it.live.each(Object.entries(verdant))("asks what a message of the type %s needs, in a request", ([, row]) =>
    Effect.gen(function* () {
      const { policy, server } = yield* start
      const { library } = yield* open(server)
      const token = yield* library.token({ userId: "ada", type: "push" })
      const replica = makeReplica()
      yield* post(library, token, [replica.sync({ resyncAll: true })])
      policy.asked.length = 0
      yield* post(library, token, [row.message(replica, "item")])
      // The request itself asks for Read.
      assert.deepStrictEqual(policy.tags(), ["Read", ...row.asks.filter((tag) => tag !== "Read")])
    })
  )

  it.live("is refused the operations on documents that it may not change, and the others are stored", () =>
    Effect.gen(function* () {
      const allows = (_: Grant, action: Action) =>
        Effect.succeed(action._tag !== "WriteOperation" || action.documentId !== "hers")
      const server = yield* startMemoryServer({ allows })
      const { library, token } = yield* open(server)
      const push = yield* library.token({ userId: "ada", type: "push" })
      const operations = (replica: Replica, prefix: string) => [
        replica.operation(`${prefix}/mine`, initialize({ id: "mine" })),
        replica.operation(`${prefix}/hers`, initialize({ id: "hers" }))
      ]
      const replica = makeReplica()
      const client = yield* connectVerdant(library, token)
      yield* registerReplica(client, replica)
      client.send(replica.op(...operations(replica, "op")))
      yield* client.next("forbidden")
      yield* client.settled
      client.send(replica.sync({ since: replica.now(), operations: operations(replica, "sync") }))
      yield* client.next("forbidden")
      yield* client.next("sync-resp")
      client.send(replica.op(replica.operation("alone/hers", initialize({ id: "hers" }))))
      yield* client.next("forbidden")
      yield* client.settled
      const acks = client.messages.filter(({ type }) => type === "server-ack")
      assert.strictEqual(acks.length, 1, "a message of which nothing was stored is not acknowledged")
      const poller = makeReplica()
      yield* post(library, push, [poller.sync({ resyncAll: true })])
      const answer = yield* post(library, push, [poller.op(...operations(poller, "poll"))])
      assert.isTrue(answer.messages.some(({ type }) => type === "forbidden"))
      const stored = (collection: string, id: string) =>
        Effect.map(Effect.orDie(server.libraries.documentSnapshot(library.id, collection, id)), (d) => d !== undefined)
      for (const collection of ["op", "sync", "poll"]) {
        assert.isTrue(yield* stored(collection, "mine"), collection)
        assert.isFalse(yield* stored(collection, "hers"), collection)
      }
      assert.isFalse(yield* stored("alone", "hers"))
    })
  )

  it.live("is sent away when it syncs again and may not read any more", () =>
    Effect.gen(function* () {
      const { policy, server } = yield* start
      const { library, token } = yield* open(server)
      const replica = makeReplica()
      const client = yield* connectVerdant(library, token)
      yield* registerReplica(client, replica)
      policy.refused.add("Read")
      client.send(replica.sync({ since: replica.now(-60_000) }))
      yield* client.next("forbidden")
      assert.strictEqual((yield* client.closed).code, 4403)
    })
  )

  it.live("does not show its presence when the policy does not allow it", () =>
    Effect.gen(function* () {
      const { policy, server } = yield* start
      const { library, token } = yield* open(server)
      policy.refused.add("SendPresence")
      const replica = makeReplica()
      const client = yield* connectVerdant(library, token)
      yield* registerReplica(client, replica)
      client.send(replica.presence({ says: "hello" }))
      yield* client.next("forbidden")
      const other = yield* connectVerdant(library, yield* library.token({ userId: "grace" }))
      assert.deepStrictEqual((yield* registerReplica(other, makeReplica()))["peerPresence"], {})
    })
  )
})

// ------------------------------------------------------------------------------------------------------------ routes

interface RouteRow {
  /** The path of a request that a client with every right sends. */
  readonly path: string
  readonly asks: ReadonlyArray<Action>
  /** Of the server that has the route. */
  readonly options?: TestServerOptions
}

const METRICS_TOKEN = "of-a-scraper"
const FILE = "/verdant/files/file1"
const fileId = "file1" as FileId

/** Every route of the server, as its source adds it, with the questions that it asks. */
const routes: Readonly<Record<string, RouteRow>> = {
  'GET "/livez"': { path: "/livez", asks: [] },
  'GET "/readyz"': { path: "/readyz", asks: [] },
  'GET "/healthz"': { path: "/healthz", asks: [] },
  // For the operator's scraper, which has a token of its own.
  "GET METRICS_PATH": {
    path: "/metrics",
    asks: [],
    options: { metrics: { token: Redacted.make(METRICS_TOKEN) } }
  },
  "POST VERDANT_PATH": { path: "/verdant", asks: [{ _tag: "Read", documentId: undefined }] },
  "GET CHANGES_PATH": { path: "/changes", asks: [{ _tag: "ReceiveChanges", documentId: undefined }] },
  "OPTIONS VERDANT_PATH": { path: "/verdant", asks: [] },
  "POST path": { path: FILE, asks: [{ _tag: "UploadFile", fileId }] },
  "GET path": { path: FILE, asks: [{ _tag: "DownloadFile", fileId, byLink: false }] },
  "GET path/content": { path: `${FILE}/content`, asks: [{ _tag: "DownloadFile", fileId, byLink: false }] },
  "OPTIONS path": { path: FILE, asks: [] },
  "OPTIONS path/content": { path: `${FILE}/content`, asks: [] },
  // Of a server without files: everything is refused.
  "* VERDANT_PATH/files/*": { path: FILE, asks: [], options: { hasFiles: false } }
}

describe("a request", () => {
  const edge = join(import.meta.dirname, "../../src/edge")
  const added = globSync("**/*.ts", { cwd: edge }).flatMap((file) =>
    Array.from(
      readFileSync(join(edge, file), "utf8").matchAll(/HttpRouter\.add\(\s*"([^"]+)",\s*([^,]+),/g),
      ([, method, path]) => `${method} ${path?.replaceAll(/[`${}]/g, "")}`
    )
  )

  it("meets no route whose question this test does not know", () =>
    assert.deepStrictEqual(Object.keys(routes).sort(), added.sort()))

  it.live.each(Object.entries(routes))("to %s asks what the route needs", ([name, row]) =>
    Effect.gen(function* () {
      const policy = makePolicy()
      const server = yield* startMemoryServer({ ...row.options, allows: policy.allows })
      yield* send(server, name, row)
      assert.deepStrictEqual(policy.asked, row.asks)
    })
  )

  it.live.each(Object.entries(routes).filter(([, { asks }]) => asks.length > 0))(
    "to %s is refused when the policy does not allow it",
    ([name, row]) =>
      Effect.gen(function* () {
        const { policy, server } = yield* start
        for (const { _tag } of row.asks) policy.refused.add(_tag)
        assert.strictEqual(yield* send(server, name, row), 403)
      })
  )

  /** Sends a request with every right, and returns the status of its answer. The answer may have no end. */
  const send = Effect.fnUntraced(function* (server: TestServer, name: string, { path }: RouteRow) {
    const [method = ""] = name.split(" ")
    const token = yield* server.token("notes", { userId: "ada", changes: true })
    const body = method === "POST" ? bodyFor(path) : undefined
    return yield* Effect.promise(async () => {
      const away = new AbortController()
      const response = await fetch(`http://127.0.0.1:${server.port}${path}`, {
        method: method === "*" ? "GET" : method,
        headers: bearer(path === "/metrics" ? METRICS_TOKEN : token),
        ...(body === undefined ? {} : { body }),
        signal: away.signal
      })
      away.abort()
      return response.status
    })
  })

  const bodyFor = (path: string) => {
    if (path === "/verdant") return JSON.stringify({ messages: [] })
    const body = new FormData()
    body.append("file", new File(["0123456789"], "note.txt", { type: "text/plain" }))
    return body
  }
})

describe("a request for files", () => {
  const upload = (url: string, token: string) => {
    const body = new FormData()
    body.append("file", new File(["0123456789"], "note.txt", { type: "text/plain" }))
    return ask(url, { method: "POST", headers: bearer(token), body })
  }

  it.live("is refused with 4030 when the policy does not allow it, by token and by link", () =>
    Effect.gen(function* () {
      const { policy, server } = yield* start
      const library = libraryOn(server)
      const token = yield* library.token({ userId: "ada" })
      const url = `${library.endpoint}/files/file1`
      assert.strictEqual((yield* upload(url, token)).status, 200)
      const { json } = yield* ask(url, { headers: bearer(token) })
      const link = (json as { readonly url: string }).url
      assert.strictEqual((yield* ask(link)).bytes.toString(), "0123456789")
      assert.deepStrictEqual(policy.asked, [
        { _tag: "UploadFile", fileId: "file1" },
        { _tag: "DownloadFile", fileId: "file1", byLink: false },
        { _tag: "DownloadFile", fileId: "file1", byLink: true }
      ] as never)
      policy.refused.add("UploadFile").add("DownloadFile")
      const answers = [
        yield* upload(`${library.endpoint}/files/file2`, token),
        yield* ask(url, { headers: bearer(token) }),
        yield* ask(`${url}/content`, { headers: bearer(token) }),
        yield* ask(link)
      ]
      for (const { json, status } of answers)
        assert.deepStrictEqual({ json, status }, { json: { code: 4030 }, status: 403 })
      policy.refused.clear()
      assert.strictEqual((yield* ask(`${library.endpoint}/files/file2`, { headers: bearer(token) })).status, 404)
    })
  )
})

// ------------------------------------------------------------------------------------------------- a policy in trouble

const troubles: Readonly<Record<string, () => Effect.Effect<boolean, unknown>>> = {
  fails: () => Effect.fail("the app's database is away"),
  dies: () => Effect.die(new Error("a bug")),
  throws: () => {
    throw new Error("a bug")
  },
  "interrupts itself": () => Effect.interrupt,
  "answers too late": () => Effect.never,
  "answers too late and cannot be interrupted": () =>
    Effect.uninterruptible(Effect.sleep("1 minute").pipe(Effect.as(true))),
  "answers something that is not true": () => Effect.succeed("yes" as never)
}

/** A document that Ada and Grace are connected to, with the messages of one author. */
const shareDocument = Effect.fnUntraced(function* (server: TestServer) {
  const docId = crypto.randomUUID()
  const connect = (userId: string) =>
    Effect.flatMap(server.token("notes", { userId }), (token) =>
      connectRaw({ url: server.url, documentId: docId, token })
    )
  const author = makeAuthor()
  const snapshot = snapshotMessage(author, { docId })
  const update = (clock: number) =>
    updateMessage(author, { docId, refSnapshotId: snapshot.publicData.snapshotId, clock })
  return { ...{ ada: yield* connect("ada"), grace: yield* connect("grace") }, connect, docId, snapshot, update }
})

describe("a policy that", () => {
  it.live.each(Object.entries(troubles))("%s refuses, and everything else goes on", ([name, trouble]) =>
    Effect.gen(function* () {
      let isInTrouble = false
      const allows = ({ userId }: Grant) => (isInTrouble && userId === "ada" ? trouble() : Effect.succeed(true))
      const server = yield* startMemoryServer({ allows, access: { policyTimeout: "100 millis" } })
      const isAnswer = name.startsWith("answers something")
      const { ada, connect, docId, grace, snapshot, update } = yield* shareDocument(server)
      ada.send(snapshot)
      yield* grace.next("snapshot")

      const library = libraryOn(server)
      const token = yield* library.token({ userId: "ada" })
      const replica = makeReplica()
      const verdant = yield* connectVerdant(library, token)
      yield* registerReplica(verdant, replica)

      isInTrouble = true
      ada.send(update(0))
      assert.strictEqual((yield* ada.closed).code, isAnswer ? 4403 : 1013)
      const again = yield* openRaw({
        url: server.url,
        documentId: docId,
        token: yield* server.token("notes", { userId: "ada" })
      })
      assert.strictEqual((yield* again.closed).code, isAnswer ? 4403 : 1013)
      verdant.send(replica.op(replica.operation("item/x", initialize({ id: "x" }))))
      if (isAnswer) yield* verdant.next("forbidden")
      else assert.strictEqual((yield* verdant.closed).code, 1013)
      assert.strictEqual(yield* refusedUpgrade(library, ["Bearer", token]), isAnswer ? 403 : 503)
      const { status, body } = yield* post(library, token, [])
      assert.deepStrictEqual(
        { status, body },
        isAnswer ? { status: 403, body: { code: 4030 } } : { status: 503, body: { code: 5030 } }
      )
      assert.isUndefined(yield* Effect.orDie(server.libraries.documentSnapshot(library.id, "item", "x")))

      grace.send(update(0))
      yield* grace.next("update-saved")
      isInTrouble = false
      const back = yield* connect("ada")
      assert.strictEqual((back.first["updates"] as ReadonlyArray<unknown>).length, 1)
    })
  )

  it.live("answers slowly keeps the order of a connection, and delays no other", () =>
    Effect.gen(function* () {
      const gate = yield* Latch.make()
      let questions = 0
      const allows = ({ userId }: Grant, { _tag }: Action): Effect.Effect<boolean> => {
        if (userId !== "ada" || _tag !== "WriteUpdate") return Effect.succeed(true)
        questions += 1
        // Later questions are answered faster.
        return Effect.as(Effect.andThen(gate.await, Effect.sleep(Duration.millis(10 - (questions % 10)))), true)
      }
      const server = yield* startMemoryServer({ allows })
      const docId = crypto.randomUUID()
      const connect = (userId: string) =>
        Effect.flatMap(server.token("notes", { userId }), (token) =>
          connectRaw({ url: server.url, documentId: docId, token })
        )
      const [ada, grace] = [yield* connect("ada"), yield* connect("grace")]
      const [author, other] = [makeAuthor(), makeAuthor()]
      const snapshot = snapshotMessage(author, { docId })
      ada.send(snapshot)
      yield* ada.next("snapshot-saved")
      const { snapshotId: refSnapshotId } = snapshot.publicData
      for (let clock = 0; clock < 30; clock++) ada.send(updateMessage(author, { docId, refSnapshotId, clock }))
      yield* until("the policy is asked", () => questions === 1)
      grace.send(updateMessage(other, { docId, refSnapshotId, clock: 0 }))
      yield* grace.next("update-saved")
      yield* ada.next("update")
      yield* gate.open
      yield* ada.next("update-saved", ({ clock }) => clock === 29)
      const clocks = ada.frames.flatMap(({ clock, type }) => (type === "update-saved" ? [clock] : []))
      assert.deepStrictEqual(
        clocks,
        Array.from({ length: 30 }, (_, clock) => clock)
      )
    })
  )
})

// ----------------------------------------------------------------------------------------------------------- each event

describe("a server that asks for each event", () => {
  it.live("sends events in order while the policy allows it, and ends the connection when it does not", () =>
    Effect.gen(function* () {
      let removed: string | undefined
      const asked = yield* Deferred.make<void>()
      const allows = ({ userId }: Grant, { _tag }: Action): Effect.Effect<boolean> => {
        if (_tag !== "Receive" || userId !== "ada") return Effect.succeed(true)
        if (userId === removed) Deferred.doneUnsafe(asked, Effect.void)
        return Effect.as(Effect.sleep("1 millis"), userId !== removed)
      }
      const server = yield* startMemoryServer({ allows, access: { asksForEachEvent: true } })
      const { ada, grace, snapshot, update } = yield* shareDocument(server)
      grace.send(snapshot)
      yield* grace.next("snapshot-saved")
      for (let clock = 0; clock < 20; clock++) grace.send(update(clock))
      const clockOf = (frame: object) => (frame as { publicData?: { clock?: number } }).publicData?.clock
      yield* ada.next("update", (frame) => clockOf(frame) === 19)
      const received = ada.frames.filter(({ type }) => type === "update").map(clockOf)
      assert.deepStrictEqual(
        received,
        Array.from({ length: 20 }, (_, clock) => clock)
      )

      removed = "ada"
      grace.send(update(20))
      yield* Deferred.await(asked)
      yield* ada.next("unauthorized")
      assert.deepStrictEqual(yield* ada.closed, { code: 4403, reason: "not allowed" })
      assert.isFalse(ada.frames.some((frame) => clockOf(frame) === 20))
      yield* grace.next("update-saved", ({ clock }) => clock === 20)
    })
  )
})
