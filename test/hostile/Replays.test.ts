/** Messages and tokens that somebody captured and sends again: nothing is stored twice, and nobody gains a right. */
import { assert, describe, it } from "@effect/vitest"
import { revoke } from "@sealog/server/admin/Revocation"
import { LibraryId } from "@sealog/server/domain/Ids"
import { VERDANT } from "@sealog/server/domain/verdant/Events"
import { EventLog } from "@sealog/server/ports/EventLog"
import { makeAuthor, snapshotMessage, updateMessage } from "@sealog/server/testing"
import { Effect } from "effect"
import { connectRaw } from "../support/clients/RawSecsync.ts"
import { connectVerdant, post, type RawVerdant, refusedUpgrade } from "../support/clients/RawVerdant.ts"
import { ask, bearer } from "../support/network/uploads.ts"
import { startDocument } from "../support/secsync/startDocument.ts"
import { randomName, startServer } from "../support/servers/TestServer.ts"
import { layerOf } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { type Library, libraryOn } from "../support/verdant/Library.ts"
import { initialize, makeReplica } from "../support/verdant/Replica.ts"

const OPERATIONS = 5

/** How often a message is sent again on each connection. */
const TIMES = 2

describe("captured Verdant messages that are sent again", () => {
  it.live("are stored once, and are of no use to another user, to a token that only reads, or in another library", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const [library, another] = [libraryOn(server), libraryOn(server)]
      const replica = makeReplica()
      const captured = [
        JSON.stringify(replica.sync({ resyncAll: true })),
        ...Array.from({ length: OPERATIONS }, (_, i) =>
          JSON.stringify(replica.op(replica.operation(`item/${i}`, initialize({ id: `${i}` }))))
        ),
        JSON.stringify(replica.presence({ says: "hello" }))
      ]
      const open = Effect.fnUntraced(function* (
        userId: string,
        of: Library = library,
        type: "realtime" | "read-only" = "realtime"
      ) {
        return yield* connectVerdant(of, yield* of.token({ userId, type }))
      })
      const sendAll = Effect.fnUntraced(function* (connection: RawVerdant) {
        for (const message of captured) connection.send(message)
        yield* connection.settled
      })
      const poll = Effect.fnUntraced(function* (userId: string) {
        const token = yield* library.token({ userId, type: "push" })
        return yield* post(library, token, `{"messages":[${captured.join()}]}`)
      })
      /** The replicas of a library by their users, and its operations. */
      const held = Effect.fnUntraced(function* ({ id }: Library) {
        const placed = yield* Effect.orDie(server.log.read({ libraryId: id, streamId: VERDANT }, { after: 0 }))
        const [users, stored] = [new Set<string>(), { operations: 0 }]
        for (const { event } of placed) {
          const data = event.data as { readonly userId?: string; readonly operations?: number }
          if (data.userId !== undefined) users.add(data.userId)
          if (event.type === "OperationsStored") stored.operations += data.operations ?? 0
        }
        return { users: [...users], operations: stored.operations }
      })

      const listener = yield* open("listener")
      const listening = makeReplica()
      listener.send(listening.sync({ resyncAll: true }))
      yield* listener.next("sync-resp")
      const heard = () => listener.messages.filter((message) => JSON.stringify(message).includes(`"item/`)).length

      const original = yield* open("ada")
      yield* sendAll(original)
      yield* until("the listener has all", () => heard() === OPERATIONS)
      const before = yield* held(library)
      assert.deepStrictEqual(before, { users: ["listener", "ada"], operations: OPERATIONS })

      for (let time = 0; time < TIMES; time++) {
        yield* sendAll(original)
        yield* sendAll(yield* open("ada"))
        yield* poll("ada")
        yield* sendAll(yield* open("ada", library, "read-only"))
        const thief = yield* open("eve")
        yield* sendAll(thief)
        assert.isNotEmpty(thief.messages.filter(({ type }) => type === "forbidden"))
        assert.isTrue((yield* poll("eve")).messages.every(({ type }) => type === "forbidden"))
      }
      // A message that was captured before it reached the server is of no use to them either.
      const caught = replica.op(replica.operation("item/caught", initialize({ id: "caught" })))
      for (const connection of [yield* open("eve"), yield* open("ada", library, "read-only")]) {
        connection.send(captured[0]!)
        connection.send(caught)
        yield* connection.settled
      }
      yield* post(library, yield* library.token({ userId: "eve", type: "push" }), [caught])
      yield* listener.settled
      assert.deepStrictEqual(yield* held(library), before)
      assert.strictEqual(heard(), OPERATIONS)
      original.send(caught)
      yield* until(
        "it is stored for its author",
        Effect.map(held(library), (now) => now.operations === OPERATIONS + 1)
      )
      const after = yield* held(library)

      // A member of another library may write there, as itself.
      const elsewhere = yield* open("eve", another)
      yield* sendAll(elsewhere)
      yield* sendAll(elsewhere)
      yield* until(
        "it is stored there",
        Effect.map(held(another), ({ operations }) => operations === OPERATIONS)
      )
      assert.deepStrictEqual(yield* held(another), { users: ["eve"], operations: OPERATIONS })
      assert.deepStrictEqual(yield* held(library), after)
    })
  )
})

describe("captured Secsync messages that are sent again", () => {
  it.live("are stored once, and are refused in another document", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const { author, client, docId, key, options, refSnapshotId, snapshot } = yield* startDocument(server)
      const captured = [snapshot, ...[0, 1, 2].map((clock) => updateMessage(author, { docId, refSnapshotId, clock }))]
      for (const message of captured) client.send(message)
      yield* client.next("update-saved", ({ clock }) => clock === 2)
      const heads = yield* Effect.orDie(server.log.heads([key]))

      const again = yield* connectRaw(options)
      for (const connection of [client, again]) {
        const saved = connection.frames.filter(({ type }) => type === "update-saved").length
        for (const message of captured) connection.send(message)
        yield* until(
          "each is acknowledged",
          () => connection.frames.filter(({ type }) => type === "update-saved").length === saved + 3
        )
      }
      const token = yield* server.token(key.libraryId)
      const other = yield* connectRaw({ url: server.url, documentId: randomName(), token })
      for (const message of captured) other.send(message)
      yield* other.next("snapshot-save-failed")
      assert.isFalse(other.frames.some(({ type }) => type === "snapshot-saved" || type === "update-saved"))
      assert.deepStrictEqual(yield* Effect.orDie(server.log.heads([key])), heads)
    })
  )
})

describe("a captured token", () => {
  it.live("opens nothing once it is revoked, and a link to a file is no token", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const token = yield* library.token({ userId: "ada" })
      const files = `${library.endpoint}/files/f1`
      const body = new FormData()
      body.append("file", new File(["the bytes"], "x", { type: "text/plain" }))
      const headers = bearer(token)
      assert.strictEqual((yield* ask(files, { method: "POST", headers, body })).status, 200)
      const { json } = yield* ask(files, { headers })
      const link = new URL((json as { readonly url: string }).url)
      assert.strictEqual((yield* ask(link.href)).status, 200)

      const documentId = randomName()
      const writer = yield* connectRaw({ url: server.url, documentId, token })
      writer.send(snapshotMessage(makeAuthor(), { docId: documentId }))
      yield* writer.next("snapshot-saved")

      const forgedLink = new URL(link.href)
      forgedLink.searchParams.set("signature", token)
      assert.strictEqual((yield* ask(forgedLink.href)).status, 401)
      const refusedEverywhere = Effect.fnUntraced(function* (captured: string) {
        assert.include([401, 403], yield* refusedUpgrade(library, ["Bearer", captured]))
        assert.include([401, 403], (yield* post(library, captured, [makeReplica().sync({})])).status)
        assert.include([401, 403], (yield* ask(files, { headers: bearer(captured) })).status)
        const document = yield* connectRaw({ url: server.url, documentId, token: captured })
        assert.notStrictEqual(document.first.type, "document")
        yield* document.closed
      })
      yield* refusedEverywhere(link.searchParams.get("signature")!)
      yield* revoke({ libraryId: LibraryId.make(library.id) }).pipe(
        Effect.provide(layerOf(server.database)),
        Effect.orDie
      )
      yield* writer.closed
      for (let time = 0; time < TIMES; time++) yield* refusedEverywhere(token)
      const streams = yield* Effect.flatMap(EventLog, (log) => log.streams({ libraryId: library.id, limit: 10 })).pipe(
        Effect.provide(layerOf(server.database)),
        Effect.orDie
      )
      assert.strictEqual(streams.find(({ key }) => key.streamId === documentId)?.version, 1)
    })
  )
})
