/** Which operations a client receives: never its own, and always those that were lost on the way. */
import { assert, describe, it } from "@effect/vitest"
import { Array, Effect } from "effect"
import { startServer } from "../support/servers/TestServer.ts"
import { until } from "../support/until.ts"
import { evict } from "../support/verdant/admin.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import type { Message } from "../support/verdant/Network.ts"
import {
  hasRestored,
  openClient,
  openClients,
  untilSame,
  type VerdantClient
} from "../support/verdant/VerdantClient.ts"

const timestamps = (messages: ReadonlyArray<Message>): ReadonlyArray<string> =>
  messages.flatMap(({ operations = [] }) =>
    (operations as ReadonlyArray<{ readonly timestamp: string }>).map(({ timestamp }) => timestamp)
  )

const assertNoneCameBack = ({ network }: VerdantClient) => {
  const own = new Set(timestamps(network.sent.filter(({ type }) => type === "op" || type === "sync")))
  assert.isAbove(own.size, 0)
  assert.deepStrictEqual(
    timestamps(network.received).filter((timestamp) => own.has(timestamp)),
    []
  )
}

describe.each(["realtime", "pull"] as const)("own operations (%s)", (transport) => {
  it.live("a client never receives its own operations back, also those made offline", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const a = yield* openClient({ library, user: "a", transport })
      const id = yield* a.put({ content: "online" })
      for (const n of [1, 2, 3]) yield* a.edit(id, (item) => item.get("tags").push(`online ${n}`))
      yield* a.goOffline
      for (const n of [1, 2, 3]) yield* a.edit(id, (item) => item.get("tags").push(`offline ${n}`))
      yield* a.goOnline
      yield* a.edit(id, (item) => item.set("content", "online again"))
      yield* untilSame([a])
      // Waits for several more answers, any of which might contain them.
      const answers = () => a.network.received.filter(({ type }) => type === "sync-resp").length
      const before = answers()
      if (transport === "pull") yield* a.until("it has polled again", () => answers() > before + 3)
      assertNoneCameBack(a)
      const b = yield* openClient({ library, user: "b", transport })
      const [item] = yield* untilSame([a, b])
      assert.strictEqual(item?.tags.length, 6)
    })
  )

  it.live("a client does not receive its own operations among those of others", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const [a, b] = yield* openClients(["a", "b"], { library, transport })
      const id = yield* a.put({ content: "both write it" })
      yield* b.until("it has the item", (items) => items.length === 1)
      for (const n of [1, 2, 3, 4]) {
        yield* (n % 2 === 0 ? a : b).edit(id, (item) => item.get("tags").push(`${n}`))
        yield* untilSame([a, b])
        yield* a.until("all are there", ([item]) => item?.tags.length === n)
      }
      yield* untilSame([a, b])
      for (const client of [a, b]) assertNoneCameBack(client)
    })
  )
})

describe.each(["realtime", "pull"] as const)("operations lost on their way (%s)", (transport) => {
  it.live("lost operations arrive with the next sync, also those written during that sync", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer({ verdant: { cursorInterval: "300 millis", foldAfter: 1 } }))
      const [a, b] = yield* openClients(["a", "b"], { library, transport })
      const id = yield* a.put({ content: "shared" })
      yield* b.until("it has the item", (items) => items.length === 1)
      a.network.lose("op")
      const written = Array.makeBy(300, (n) => `lost ${n}`)
      for (const [n, tag] of written.entries()) {
        yield* a.edit(id, (item) => item.get("tags").push(tag))
        // Makes the client reconnect, and so sync.
        if (n % 10 === 9) a.network.drop()
      }
      yield* until("it is connected", a.isOnline)
      a.network.drop()
      yield* b.until("it has all", ([item]) => written.every((tag) => item?.tags.includes(tag)))
      a.network.mend()
      const [item] = yield* untilSame([a, b])
      assert.deepStrictEqual(item?.tags, written)
    })
  )
})

describe("operations written during a restore", () => {
  it.live("operations written during a restore arrive, though their messages are lost", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const a = yield* openClient({ library, user: "a" })
      const id = yield* a.put({ content: "shared" })
      a.network.lose("op")
      const written: Array<string> = []
      const write = Effect.gen(function* () {
        const tag = `lost ${written.length}`
        written.push(tag)
        yield* a.edit(id, (item) => item.get("tags").push(tag))
      })
      for (const _ of Array.range(1, 8)) {
        a.network.received.length = 0
        yield* evict(server.database, library)
        while (!hasRestored(a)) yield* write
      }
      a.network.drop()
      const newcomer = yield* openClient({ library, user: "newcomer" })
      yield* newcomer.until("it has all", ([item]) => written.every((tag) => item?.tags.includes(tag)))
      assert.strictEqual(a.resets(), 0)
    })
  )
})
