/** Clients on transports of the app's own: the text of each message goes in and comes out, as over a WebSocket. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { connectRaw } from "#test-support/clients/RawSecsync"
import { connectVerdant, registerReplica } from "#test-support/clients/RawVerdant"
import { type Mounted, startMounted } from "#test-support/servers/MountedServer"
import { until } from "#test-support/until"
import { libraryOn } from "#test-support/verdant/Library"
import { initialize, makeReplica } from "#test-support/verdant/Replica"
import type { ClientOpening, Sealog } from "../../src/node/Sealog.ts"
import { ephemeralMessage, makeAuthor, snapshotMessage } from "../../src/testing/SealedMessages.ts"

interface Received {
  readonly type: string
  readonly [field: string]: unknown
}

/** A transport that keeps what it is given. */
const connect = Effect.fnUntraced(function* (sealog: Sealog, opening: ClientOpening) {
  const received: Array<Received> = []
  const closed: Array<number> = []
  const transport = {
    send: (text: string) => void received.push(JSON.parse(text)),
    close: (code: number) => void closed.push(code)
  }
  const { close, receive } = yield* Effect.promise(() => sealog.connect(opening, transport))
  const next = (type: string) =>
    Effect.map(
      until(`${type} arrives`, () => received.some((message) => message.type === type)),
      () => received.find((message) => message.type === type)!
    )
  return {
    received,
    closed,
    close,
    next,
    send: (message: object) => Effect.promise(() => receive(JSON.stringify(message)))
  }
})

const mint = (sealog: Sealog, userId = "ada") => Effect.promise(() => sealog.mint({ userId, libraryId: "notes" }))

const rejection = (call: () => Promise<unknown>) =>
  Effect.flip(Effect.tryPromise({ try: call, catch: (error) => (error as Error).name }))

describe("a transport of the app's own", () => {
  it.live("carries a Secsync client, beside clients on WebSockets", () =>
    Effect.gen(function* () {
      const { port, sealog } = yield* startMounted()
      const token = yield* mint(sealog)
      const own = yield* connect(sealog, { url: `/doc?sessionKey=${token}` })
      const other = yield* connectRaw({ url: `ws://127.0.0.1:${port}`, documentId: "doc", token })
      assert.strictEqual((yield* own.next("document")).type, "document")
      const snapshot = snapshotMessage(makeAuthor(), { docId: "doc" })
      yield* own.send(snapshot)
      yield* own.next("snapshot-saved")
      assert.deepStrictEqual(yield* other.next("snapshot"), { type: "snapshot", snapshot })
      other.send(ephemeralMessage(makeAuthor(), { docId: "doc" }))
      yield* own.next("ephemeral-message")
      yield* Effect.promise(() => sealog.revoke({ userId: "ada" }))
      yield* until("it is sent away", () => own.closed.includes(4401))
    })
  )

  it.live("finds documents under their path, and hears that a library was deleted", () =>
    Effect.gen(function* () {
      const { sealog } = yield* startMounted({ secsync: { path: "/docs" } })
      const own = yield* connect(sealog, { url: `/docs/team/notes?sessionKey=${yield* mint(sealog)}` })
      yield* own.next("document")
      const snapshot = snapshotMessage(makeAuthor(), { docId: "team/notes" })
      yield* own.send(snapshot)
      yield* own.next("snapshot-saved")
      yield* Effect.promise(() => sealog.delete({ libraryId: "notes" }))
      yield* until("it is sent away", () => own.closed.length > 0)
      assert.deepStrictEqual(own.closed, [4404])
    })
  )

  it.live("carries a Verdant client, and a client that polls", () =>
    Effect.gen(function* () {
      const { sealog, url } = yield* startMounted()
      const headers = { authorization: `Bearer ${yield* mint(sealog)}` }
      const [replica, other] = [makeReplica(), makeReplica()]
      const own = yield* connect(sealog, { url: "/verdant", headers })
      yield* own.send(replica.sync({ resyncAll: true }))
      yield* own.next("sync-resp")
      const socket = yield* connectVerdant(libraryOn({ url }, "notes"), yield* mint(sealog))
      yield* registerReplica(socket, other)
      yield* own.send(replica.op(replica.operation("item/1", initialize({ content: "text" }))))
      yield* own.next("server-ack")
      assert.lengthOf((yield* socket.next("op-re"))["operations"] as ReadonlyArray<unknown>, 1)
      const polling = makeReplica()
      const messages = [{ type: "heartbeat" }, polling.sync({ resyncAll: true })]
      const answers = yield* Effect.promise(() => sealog.answer({ url: "/verdant", headers }, messages))
      const types = (answers as ReadonlyArray<Received>).map(({ type }) => type)
      assert.deepStrictEqual(types, ["heartbeat-response", "sync-resp", "server-ack"])
      yield* Effect.promise(() => sealog.close())
      assert.deepStrictEqual(own.closed, [1001])
    })
  )

  it.live("is refused as a WebSocket is", () =>
    Effect.gen(function* () {
      const { sealog } = yield* startMounted({ allows: ({ userId }) => userId !== "eve" })
      const transport = { send: () => {}, close: () => {} }
      const opening = (url: string) => () => sealog.connect({ url }, transport)
      assert.strictEqual(yield* rejection(opening("/doc?sessionKey=wrong")), "TokenRefused")
      assert.strictEqual(yield* rejection(opening("/verdant")), "TokenRefused")
      assert.strictEqual(yield* rejection(opening("/")), "ClientRefused")
      const eve = yield* mint(sealog, "eve")
      assert.strictEqual(yield* rejection(opening(`/doc?sessionKey=${eve}`)), "ClientRefused")
      const headers = { authorization: `Bearer ${eve}` }
      assert.strictEqual(yield* rejection(() => sealog.answer({ url: "/verdant", headers }, [])), "ClientRefused")
      const polls = { url: "/verdant", headers: { authorization: `Bearer ${yield* mint(sealog)}` } }
      const replica = makeReplica()
      // It has to sync first.
      const early = replica.op(replica.operation("item/1", initialize({})))
      assert.strictEqual(yield* rejection(() => sealog.answer(polls, [early])), "TryAgainLater")
      assert.strictEqual(yield* rejection(() => sealog.answer(polls, [{ type: "sync" }])), "ClientRefused")
      yield* Effect.promise(() => sealog.suspend("notes"))
      assert.strictEqual(yield* rejection(opening(`/doc?sessionKey=${yield* mint(sealog)}`)), "GrantEnded")
    })
  )

  it.live("lets a client poll again when its library was evicted in the middle of its messages", () =>
    Effect.gen(function* () {
      const { sealog }: Mounted = yield* startMounted({
        allows: (_, { _tag }): boolean | Promise<boolean> => _tag !== "WriteOperation" || sealog.evict("notes")
      })
      const polls = { url: "/verdant", headers: { authorization: `Bearer ${yield* mint(sealog)}` } }
      const replica = makeReplica()
      yield* Effect.promise(() => sealog.answer(polls, [replica.sync({ resyncAll: true })]))
      const write = replica.op(replica.operation("item/1", initialize({})))
      assert.strictEqual(yield* rejection(() => sealog.answer(polls, [write])), "TryAgainLater")
    })
  )
})
