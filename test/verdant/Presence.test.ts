/** Which users are online, and what each of them shares. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { connectVerdant, registerReplica } from "../support/clients/RawVerdant.ts"
import { startServer } from "../support/servers/TestServer.ts"
import { until } from "../support/until.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { makeReplica } from "../support/verdant/Replica.ts"
import { openClient, openClients } from "../support/verdant/VerdantClient.ts"

describe.each(["realtime", "pull"] as const)("presence (%s)", (transport) => {
  it.live("each client's presence reaches all others", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const clients = yield* openClients(["a", "b", "c"], { library, transport })
      const moodOf = (user: string) => `${user} is happy`
      // A poll's answer that was on its way brings the user's own earlier presence, and the store takes it in place of the new one.
      const shareAll = () => {
        for (const { store, user } of clients) {
          const { presence } = store.sync
          if (presence.self.presence?.mood !== moodOf(user)) presence.update({ mood: moodOf(user) })
        }
      }
      shareAll()
      for (const client of clients) {
        const others = clients.filter((other) => other !== client)
        const presence = () => client.store.sync.presence.peers
        yield* until(
          `${client.user} knows of the others`,
          () => {
            if (transport === "pull") shareAll()
            return others.every(({ user }) => presence()[user]?.presence?.mood === moodOf(user))
          },
          presence
        )
        assert.sameMembers(
          [...client.peers()],
          others.map(({ user }) => user)
        )
        assert.strictEqual(client.store.sync.presence.self.id, client.user)
        for (const other of others) assert.strictEqual(presence()[other.user]?.replicaId, yield* other.replicaId)
      }
    })
  )
})

describe("users who leave", () => {
  it.live(
    "the server closes a connection that announces its end, because the store may announce it late and wait on a new one",
    () =>
      Effect.gen(function* () {
        const library = libraryOn(yield* startServer())
        const replica = makeReplica()
        const connection = yield* connectVerdant(library, yield* library.token({ userId: "a" }))
        yield* registerReplica(connection, replica)
        connection.send({ type: "disconnecting", replicaId: replica.id, reason: "client-shutdown" })
        assert.strictEqual((yield* connection.closed).code, 1001)
      })
  )

  it.live("a user who stops polling goes offline for connected and for polling peers", () =>
    Effect.gen(function* () {
      const library = libraryOn(
        yield* startServer({ verdant: { presenceTtl: "1 second", cursorInterval: "100 millis" } })
      )
      const connected = yield* openClient({ library, user: "connected" })
      const [polling, leaving] = yield* openClients(["polling", "leaving"], { library, transport: "pull" })
      for (const client of [connected, polling]) {
        yield* until(`${client.user} knows the user who leaves`, () => client.peers().includes("leaving"))
      }
      yield* leaving.close
      for (const client of [connected, polling]) {
        yield* until(`${client.user} knows that the user is offline`, () => !client.peers().includes("leaving"))
      }
      assert.deepStrictEqual(connected.peers(), ["polling"])
      assert.deepStrictEqual(polling.peers(), ["connected"])
    })
  )

  it.live("a client with automatic transport polls again after its last peer has left", () =>
    Effect.gen(function* () {
      const library = libraryOn(
        yield* startServer({ verdant: { presenceTtl: "1 second", cursorInterval: "100 millis" } })
      )
      const a = yield* openClient({ library, user: "a", transport: "automatic" })
      assert.strictEqual(a.store.sync.mode, "pull")
      const b = yield* openClient({ library, user: "b", transport: "automatic" })
      for (const client of [a, b]) {
        yield* until(`${client.user} is connected`, () => client.store.sync.mode === "realtime" && client.isOnline())
      }
      const id = yield* a.put({ content: "in company" })
      yield* b.until("it has the item", (items) => items.length === 1)
      yield* b.close
      yield* until("it polls again", () => a.store.sync.mode === "pull" && a.peers().length === 0)
      yield* a.edit(id, (item) => item.set("content", "alone"))
      const again = yield* openClient({ library, user: "b", transport: "automatic", device: b.device })
      yield* again.until("it has the change that it missed", ([item]) => item?.content === "alone")
    })
  )

  it.live("a user with two devices stays online until the second device leaves", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const [a, first, second] = yield* openClients(["a", "b", "b"], { library })
      yield* until("a sees b", () => a.peers().length === 1)
      const gone = () => a.network.received.filter(({ type }) => type === "presence-offline").length
      yield* first.close
      a.store.sync.presence.update({ still: "here" })
      yield* until(
        "the second device has a's later presence",
        () => second.store.sync.presence.peers["a"]?.presence?.still === "here"
      )
      assert.strictEqual(gone(), 0)
      yield* second.close
      yield* until("b is offline", () => a.peers().length === 0)
      assert.strictEqual(gone(), 1)
    })
  )
})

describe("a user who sends presences without a pause", () => {
  it.live("is seen with the newest, and the peers are spared most of the others", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const [sender, peer] = yield* Effect.forEach(["sender", "peer"], (userId) =>
        Effect.gen(function* () {
          const connection = yield* connectVerdant(library, yield* library.token({ userId }))
          const replica = makeReplica()
          const { ackThisNonce } = yield* registerReplica(connection, replica)
          connection.send(replica.ack({ nonce: ackThisNonce }))
          return { connection, replica }
        })
      )
      for (let i = 0; i <= 1000; i++) sender!.connection.send(sender!.replica.presence({ i }))
      const presenceOf = (message: object) => (message as { userInfo: { presence: { i: number } } }).userInfo.presence.i
      yield* peer!.connection.next("presence-changed", (message) => presenceOf(message) === 1000)
      const seen = peer!.connection.messages.filter(({ type }) => type === "presence-changed")
      assert.isBelow(seen.length, 500)
    })
  )
})
