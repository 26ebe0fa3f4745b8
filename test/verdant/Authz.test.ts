/** Private documents: which users receive them, and which may write them. */
import { assert, describe, it } from "@effect/vitest"
import { authorization } from "@verdant-web/store"
import { Effect } from "effect"
import { connectVerdant, registerReplica } from "../support/clients/RawVerdant.ts"
import { startServer } from "../support/servers/TestServer.ts"
import { libraryInfo } from "../support/verdant/admin.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { initialize, makeReplica, onlyUser, set } from "../support/verdant/Replica.ts"
import { contents, openClient, openClients, untilSame } from "../support/verdant/VerdantClient.ts"

describe.each(["realtime", "pull"] as const)("private documents (%s)", (transport) => {
  it.live(
    "a private document and its later edits reach only the replicas of its user, also those that join later",
    () =>
      Effect.gen(function* () {
        const library = libraryOn(yield* startServer())
        const [a, peer] = yield* openClients(["a", "peer"], { library, transport })
        const secret = yield* a.put({ content: "secret" }, { access: authorization.private })
        yield* a.put({ content: "public" })
        yield* peer.until("it has the public one", (items) => items.length === 1)
        yield* a.edit(secret, (item) => item.get("tags").push("edited"))
        yield* a.put({ content: "public after the edit" })
        yield* peer.until("it has both public ones", (items) => items.length === 2)
        assert.deepStrictEqual(contents(yield* peer.documents()), ["public", "public after the edit"])

        const other = yield* openClient({ library, user: "a", transport })
        const latePeer = yield* openClient({ library, user: "late", transport })
        yield* other.until("the user's other device has all", (items) => items.length === 3)
        const items = yield* untilSame([a, other])
        assert.deepStrictEqual(items.find(({ id }) => id === secret)?.tags, ["edited"])
        yield* latePeer.until("it has the public ones", (items) => items.length === 2)
        yield* untilSame([peer, latePeer])

        // The server sent no part of it.
        for (const { network } of [peer, latePeer]) assert.notInclude(JSON.stringify(network.received), secret)
      })
  )
})

describe("a client that ignores access keys", () => {
  it.live("a client cannot write, delete or take over another user's private document", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const a = yield* openClient({ library, user: "a" })
      const id = yield* a.put({ content: "secret", tags: ["mine"] }, { access: authorization.private })
      yield* untilSame([a])
      const parts = a.network.sent.flatMap(
        ({ operations = [] }) => operations as ReadonlyArray<{ readonly oid: string }>
      )
      const tags = parts.find(({ oid }) => oid.startsWith(`item/${id}:`))!.oid

      const mallory = yield* connectVerdant(library, yield* library.token({ userId: "mallory" }))
      const replica = makeReplica()
      yield* registerReplica(mallory, replica)
      for (const authz of [undefined, onlyUser("mallory"), onlyUser("a")]) {
        mallory.send(replica.op(replica.operation(`item/${id}`, set("content", "overwritten"), authz)))
        mallory.send(replica.op(replica.operation(`item/${id}`, initialize({ id, content: "taken" }), authz)))
        mallory.send(replica.op(replica.operation(`item/${id}`, { op: "delete" }, authz)))
        mallory.send(replica.op(replica.operation(tags, { op: "list-push", value: "theirs" }, authz)))
      }
      yield* mallory.settled
      // The first sync of another replica is another way in.
      const second = yield* connectVerdant(library, yield* library.token({ userId: "mallory" }))
      const other = makeReplica()
      second.send(
        other.sync({ since: other.now(), operations: [other.operation(`item/${id}`, set("content", "overwritten"))] })
      )
      yield* second.settled

      const late = yield* openClient({ library, user: "a" })
      yield* late.until("it has it", (items) => items.length === 1)
      const [item] = yield* untilSame([a, late])
      assert.strictEqual(item?.content, "secret")
      assert.deepStrictEqual(item?.tags, ["mine"])
      assert.notInclude(JSON.stringify([mallory.messages, second.messages]), "secret")
    })
  )

  it.live.each([
    "not base64 at all \u0000",
    btoa("nonsense"),
    btoa("u:a"),
    btoa("x:a:*"),
    btoa("u:a:write"),
    btoa("u::*"),
    "",
    7,
    { subject: "a" }
  ])("an operation with the access key %j does not disturb the library", (authz) =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const a = yield* openClient({ library, user: "a" })
      yield* a.put({ content: "before" })
      const mallory = yield* connectVerdant(library, yield* library.token({ userId: "mallory" }))
      const replica = makeReplica()
      yield* registerReplica(mallory, replica)
      mallory.send(replica.op(replica.operation("item/poison", initialize({ id: "poison", content: "poison" }), authz)))
      yield* a.put({ content: "after" })

      const late = yield* openClient({ library, user: "late" })
      yield* late.until("it has the other items", (items) => contents(items).includes("after"))
      yield* untilSame([a, late])
      assert.includeMembers([...contents(yield* late.documents())], ["before", "after"])
      assert.isDefined(yield* libraryInfo(server.database, library))
    })
  )
})
