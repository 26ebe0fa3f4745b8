/** The permissions and the lifetime of a token, and how the server refuses the rest. */
import { createHmac } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { connectVerdant, post, refusedUpgrade, registerReplica, syncResponse } from "../support/clients/RawVerdant.ts"
import { startServer, TOKEN_SECRET } from "../support/servers/TestServer.ts"
import { until } from "../support/until.ts"
import { resume, revokeAll, suspend } from "../support/verdant/admin.ts"
import { type Library, libraryOn } from "../support/verdant/Library.ts"
import { initialize, makeReplica } from "../support/verdant/Replica.ts"
import { contents, openClient, openClients, type Transport, untilSame } from "../support/verdant/VerdantClient.ts"

/** Signs a token with exactly these claims. */
const sign = (claims: object, secret = TOKEN_SECRET): string => {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`
}

const claimsOf = (library: Library, claims: object = {}) => ({
  sub: "a",
  lib: library.id,
  type: 0,
  url: library.endpoint,
  exp: Math.floor(Date.now() / 1000) + 600,
  ...claims
})

describe("tokens that expire", () => {
  it.live.each(["realtime", "pull"] as const)("a client by %s continues with a new token", (transport) =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const lasting = yield* openClient({ library, user: "lasting" })
      const a = yield* openClient({ library, user: "a", transport, tokensLast: Duration.seconds(2) })
      const id = yield* a.put({ content: "before" })
      yield* lasting.until("it has the item", (items) => items.length === 1)
      if (transport === "pull") yield* until("it was refused", () => a.network.statuses.includes(401))
      else yield* until("it was disconnected and is back", () => a.network.connections() > 1 && a.isOnline())
      yield* a.edit(id, (item) => item.set("content", "after"))
      yield* lasting.edit(id, (item) => item.get("tags").push("after"))
      yield* lasting.until("it has the change made afterwards", ([item]) => item?.content === "after")
      yield* a.until("it has the change made afterwards", ([item]) => item?.tags.length === 1)
      yield* untilSame([a, lasting])
    })
  )

  it.live("an open socket does not outlive its token", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const token = yield* library.token({ userId: "a", expiresIn: Duration.seconds(2) })
      const client = yield* connectVerdant(library, token)
      yield* registerReplica(client, makeReplica())
      yield* client.closed
      assert.strictEqual(yield* refusedUpgrade(library, ["Bearer", token]), 401)
    })
  )
})

describe("refusals", () => {
  it.live("a refused request carries a code that clients understand", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const good = yield* library.token({ userId: "a" })
      const expired = sign(claimsOf(library, { exp: Math.floor(Date.now() / 1000) - 10 }))
      const forged = sign(claimsOf(library), "another-secret-that-is-long-enough-0123456789")
      const { sub: _, ...nobody } = claimsOf(library)
      const refusals = [
        [undefined, 401, 4010],
        ["Basic abc", 401, 4012],
        ["Bearer nonsense", 401, 4012],
        [forged, 401, 4012],
        [expired, 401, 4012],
        [sign(nobody), 401, 4012]
      ] as const
      for (const [token, status, code] of refusals) {
        const answer = yield* post(library, token, [])
        assert.deepStrictEqual({ status: answer.status, body: answer.body }, { status, body: { code } })
      }
      for (const body of ["", "{}", "[]", "null", "not json", '{"messages":7}']) {
        const answer = yield* post(library, good, body)
        assert.deepStrictEqual({ status: answer.status, body: answer.body }, { status: 400, body: { code: 4001 } })
      }
      assert.deepStrictEqual((yield* post(library, good, [])).body, { messages: [] })
    })
  )

  it.live("a refused upgrade is answered 401, whatever is wrong with the token", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const expired = sign(claimsOf(library, { exp: Math.floor(Date.now() / 1000) - 10 }))
      const forged = sign(claimsOf(library), "another-secret-that-is-long-enough-0123456789")
      for (const protocols of [
        ["Bearer", expired],
        ["Bearer", forged],
        ["Bearer", "nonsense"],
        ["Bearer"],
        ["Other"],
        []
      ]) {
        assert.strictEqual(yield* refusedUpgrade(library, protocols), 401, protocols.join())
      }
    })
  )

  it.live("a browser's preflight is answered, and its origin may send credentials", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const token = yield* library.token({ userId: "a" })
      const headers = { Origin: "https://app.example", "Access-Control-Request-Method": "POST" }
      const preflight = yield* Effect.promise(() => fetch(library.endpoint, { method: "OPTIONS", headers }))
      assert.isTrue(preflight.ok)
      const answer = yield* Effect.promise(() =>
        fetch(library.endpoint, {
          method: "POST",
          headers: { ...headers, Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
          body: '{"messages":[]}'
        })
      )
      for (const response of [preflight, answer]) {
        assert.strictEqual(response.headers.get("access-control-allow-origin"), "https://app.example")
        assert.strictEqual(response.headers.get("access-control-allow-credentials"), "true")
      }
      assert.match(preflight.headers.get("access-control-allow-headers") ?? "", /authorization/i)
    })
  )
})

/** A client by the transport and one by a socket, which have the same item. */
const openPair = Effect.fnUntraced(function* (transport: Transport) {
  const server = yield* startServer()
  const library = libraryOn(server)
  const [a, b] = [yield* openClient({ library, user: "a", transport }), yield* openClient({ library, user: "b" })]
  yield* a.put({ content: "before" })
  yield* untilSame([a, b])
  return { a, b, library, server }
})

describe("permissions of a token", () => {
  it.live.each([4, 5, "4", "5"])("a token of type %j allows no write", (type) =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const writer = yield* openClient({ library, user: "writer" })
      yield* writer.put({ content: "there" })
      yield* untilSame([writer])
      const token = sign(claimsOf(library, { type }))
      const replica = makeReplica()
      const made = () => replica.operation("item/forbidden", initialize({ id: "forbidden", content: "forbidden" }))
      const begun = yield* post(library, token, [replica.sync({ resyncAll: true })])
      assert.strictEqual(syncResponse(begun)?.["overwriteLocalData"], true)
      const written = yield* post(library, token, [replica.op(made())])
      assert.deepStrictEqual(
        written.messages.map(({ type }) => type),
        ["forbidden"]
      )
      const synced = yield* post(library, token, [replica.sync({ since: replica.now(), operations: [made()] })])
      assert.isTrue(synced.messages.some(({ type }) => type === "forbidden" || type === "sync-resp"))
      const restored = yield* post(library, token, [
        makeReplica().sync({
          baselines: [{ oid: "item/forbidden", timestamp: replica.now(), snapshot: { id: "forbidden" } }]
        })
      ])
      assert.isTrue(restored.messages.some(({ type }) => type === "forbidden" || type === "sync-resp"))
      const late = yield* openClient({ library, user: "late" })
      yield* late.until("it has the writer's item", (items) => items.length > 0)
      assert.deepStrictEqual(
        (yield* late.documents()).map(({ content }) => content),
        ["there"]
      )
    })
  )

  it.live.each(["realtime", "pull"] as const)(
    "a read-only client by %s that writes anyway continues to receive",
    (transport) =>
      Effect.gen(function* () {
        const library = libraryOn(yield* startServer())
        const [a, b] = yield* openClients(["a", "b"], { library })
        const id = yield* a.put({ content: "first" })
        const reader = yield* openClient({
          library,
          user: "reader",
          transport,
          type: transport === "pull" ? "read-only-pull" : "read-only"
        })
        yield* reader.until("it has the item", (items) => items.length === 1)
        yield* reader.edit(id, (item) => item.set("content", "written without permission"))
        yield* reader.goOffline
        yield* reader.edit(id, (item) => item.get("tags").push("without permission, offline"))
        yield* a.edit(id, (item) => item.set("content", "second"))
        yield* untilSame([a])
        yield* reader.goOnline
        // After a reset, the store (5.5) hides a nested document until the document changes.
        yield* until("it received the change made while it was offline", () =>
          reader.network.received.some((message) => JSON.stringify(message).includes('"second"'))
        )
        yield* a.edit(id, (item) => item.set("content", "third"))
        yield* reader.until("it has the next change", ([item]) => item?.content === "third")
        const [item] = yield* untilSame([a, b])
        assert.deepStrictEqual(item?.tags, [])
      })
  )

  it.live.each(["push", "passive-push", "read-only-pull"] as const)("a %s token opens no socket", (type) =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const token = yield* library.token({ userId: "a", type })
      assert.isAtLeast(yield* refusedUpgrade(library, ["Bearer", token]), 400)
      assert.strictEqual((yield* post(library, token, [makeReplica().sync({ resyncAll: true })])).status, 200)
    })
  )

  it.live.each(["realtime", "pull"] as const)(
    "a client by %s stays away while its library is suspended, and comes back with its changes",
    (transport) =>
      Effect.gen(function* () {
        const { a, b, library, server } = yield* openPair(transport)
        yield* suspend(server.database, library)
        const { token } = library
        yield* until(
          "the library is closed",
          Effect.map(post(library, yield* token({ userId: "a" }), []), ({ status }) => status !== 200)
        )
        const refusals = () => a.network.statuses.filter((status) => status !== 200)
        if (transport === "pull") yield* until("it asks again and again", () => refusals().length > 3)
        yield* a.put({ content: "while it was closed" })
        yield* resume(server.database, library)
        yield* b.until("it receives that", (items) => contents(items).includes("while it was closed"))
      })
  )

  it.live.each(["realtime", "pull"] as const)(
    "a client by %s asks for another token when its token was revoked",
    (transport) =>
      Effect.gen(function* () {
        const { a, b, library, server } = yield* openPair(transport)
        yield* revokeAll(server.database, library)
        yield* b.put({ content: "since then" })
        yield* a.until("it receives that", (items) => contents(items).includes("since then"))
      })
  )

  it.live("a user cannot act as another user's replica", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const replica = makeReplica()
      const [a, b] = [yield* library.token({ userId: "a" }), yield* library.token({ userId: "b" })]
      yield* post(library, a, [
        replica.sync({ resyncAll: true }),
        replica.op(replica.operation("item/x", initialize({ id: "x" })))
      ])
      for (const message of [
        replica.sync(),
        replica.sync({ resyncAll: true }),
        replica.op(replica.operation("item/y", initialize({ id: "y" }))),
        replica.ack({ timestamp: replica.now() })
      ]) {
        assert.deepStrictEqual((yield* post(library, b, [message])).messages, [{ type: "forbidden" }])
      }
    })
  )
})
