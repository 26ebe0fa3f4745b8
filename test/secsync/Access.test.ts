/** The documents that a token opens to a real client, and for how long. */
import { assert, describe, it } from "@effect/vitest"
import { DocumentId } from "@sealog/server/domain/Ids"
import { Duration, Effect } from "effect"
import { connectRaw } from "../support/clients/RawSecsync.ts"
import { connectClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { randomName, startServer } from "../support/servers/TestServer.ts"

describe("access", () => {
  it.live("documents of the same id in two libraries stay separate", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const documentId = randomName()
      const [ours, theirs] = yield* Effect.all([
        Effect.flatMap(server.token(randomName()), (token) => connectClient({ url: server.url, documentId, token })),
        Effect.flatMap(server.token(randomName()), (token) => connectClient({ url: server.url, documentId, token }))
      ])
      yield* untilAll([ours, theirs], "both have an empty document", (client) => client.isSettled())
      ours.write("ours")
      theirs.write("theirs")
      yield* untilAll([ours, theirs], "both have written", (client) => client.isSettled())
      ours.write("still ours")
      yield* untilAll([ours, theirs], "both have written", (client) => client.isSettled())
      assert.deepStrictEqual(ours.list(), ["ours", "still ours"])
      assert.deepStrictEqual(theirs.list(), ["theirs"])
      assert.notStrictEqual(ours.activeSnapshotId(), theirs.activeSnapshotId())
    })
  )

  it.live("a client with a read-only token receives changes, and cannot write", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = randomName()
      const options = { url: server.url, documentId: randomName() }
      const writer = yield* connectClient({ ...options, token: yield* server.token(library) })
      yield* writer.until("it has loaded", writer.isSettled)
      writer.write("one")
      yield* writer.until("it is stored", writer.isSettled)
      const token = yield* server.token(library, { type: "read-only" })
      const reader = yield* connectClient({ ...options, token })
      yield* reader.until("it has loaded", () => reader.list().length === 1)
      writer.write("two")
      yield* reader.until("it received the change", () => reader.list().length === 2)
      reader.write("not allowed")
      yield* reader.until("it is refused", () => reader.state() === "noAccess")

      writer.write("three")
      yield* writer.until("it is stored", writer.isSettled)
      const newcomer = yield* connectClient({ ...options, token })
      yield* newcomer.until("it has loaded", () => newcomer.list().length === 3)
      assert.deepStrictEqual(newcomer.list(), ["one", "two", "three"])
      assert.deepStrictEqual(writer.list(), ["one", "two", "three"])
    })
  )

  it.live("a token for one document opens no other", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = randomName()
      const allowed = DocumentId.make(randomName())
      const token = yield* server.token(library, { documents: [allowed] })
      const inside = yield* connectClient({ url: server.url, documentId: allowed, token })
      yield* inside.until("it has loaded", inside.isSettled)
      inside.write("one")
      yield* inside.until("it is stored", inside.isSettled)
      const outside = yield* connectClient({ url: server.url, documentId: randomName(), token })
      yield* outside.until("it is refused", () => outside.state() === "noAccess")
      assert.strictEqual(outside.connections(), 1)
    })
  )

  it.live("a token that expires ends the connection, and the client cannot return", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const enter = Effect.fnUntraced(function* (seconds: number) {
        const token = yield* server.token(randomName(), { expiresIn: Duration.seconds(seconds) })
        const options = { url: server.url, documentId: randomName(), token }
        const raw = yield* connectRaw(options)
        const client = yield* connectClient(options)
        yield* client.until("it is admitted or refused", () => client.isSettled() || client.state() === "noAccess")
        return { client, raw, areConnected: raw.first.type === "document" && client.connections() > 0 }
      })
      let entered = yield* enter(2)
      // On a slow machine the token may expire before the clients are connected, so it gets more time.
      for (let seconds = 4; !entered.areConnected; seconds *= 2) entered = yield* enter(seconds)
      const { client, raw } = entered
      const { code } = yield* raw.closed
      assert.strictEqual(code, 4401)
      yield* client.until("it is refused when it comes back", () => client.state() === "noAccess")
    })
  )

  it.live("the server refuses a missing, a forged and an unsigned token", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
      const claims = { sub: "mallory", lib: "library", exp: Math.floor(Date.now() / 1000) + 3600 }
      const unsigned = `${encode({ alg: "none", typ: "JWT" })}.${encode(claims)}.`
      const forged = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}.${"A".repeat(43)}`
      for (const token of ["", "garbage", "a.b.c", unsigned, forged]) {
        const raw = yield* connectRaw({ url: server.url, documentId: randomName(), token })
        assert.deepStrictEqual(raw.first, { type: "unauthorized" })
        assert.strictEqual((yield* raw.closed).code, 4401)
        const client = yield* connectClient({ url: server.url, documentId: randomName(), token })
        yield* client.until("it is refused", () => client.state() === "noAccess")
        assert.strictEqual(client.connections(), 1)
      }
    })
  )
})
