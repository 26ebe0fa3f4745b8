import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { LibraryId } from "@sealog/server/domain/Ids"
import type { StreamKey } from "@sealog/server/domain/Stream"
import { type Broadcast, Signals } from "@sealog/server/ports/Signals"
import { Context, Effect, Layer, Queue, Schedule, Stream } from "effect"
import { SqlClient } from "effect/sql"
import { freshDatabase } from "#test-support/storage/databases"
import { PgStorage } from "../src/index.ts"

const libraryId = LibraryId.make("été-日本-😀")
const keyOf = (streamId: string): StreamKey => ({ libraryId, streamId })

const openSignals = (url: string) =>
  Effect.map(Layer.build(Layer.fresh(PgStorage.layerWithoutMigrations({ url }))), (services) =>
    Context.get(services, Signals)
  )

/** What comes, without the "all" that a sweep or a new connection brings. */
const hear = Effect.fnUntraced(function* (signals: Signals["Service"]) {
  const keys = yield* Queue.unbounded<StreamKey>()
  const all = yield* Queue.unbounded<"all">()
  const broadcasts = yield* Queue.unbounded<Broadcast>()
  yield* Effect.forkScoped(
    Stream.runForEach(signals.wakeups, (woken) =>
      woken === "all" ? Effect.asVoid(Queue.offer(all, woken)) : Effect.asVoid(Queue.offerAll(keys, woken))
    )
  )
  yield* Effect.forkScoped(Stream.runForEach(signals.broadcasts, (message) => Queue.offer(broadcasts, message)))
  // Said when it listens: nothing is missed from here on.
  yield* Queue.take(all)
  return { keys, all, broadcasts }
})

const takeAll = <A>(queue: Queue.Dequeue<A>, count: number) =>
  Effect.all(Array.from({ length: count }, () => Queue.take(queue)))

describe("signals by NOTIFY", () => {
  it.live("reach the others and not who sent them, however many and whatever their names", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const [one, two, three] = yield* Effect.all([openSignals(url), openSignals(url), openSignals(url)])
      const [first, second, third] = [yield* hear(one), yield* hear(two), yield* hear(three)]
      yield* one.announce([keyOf("1")])
      assert.deepStrictEqual(yield* Queue.take(second.keys), keyOf("1"))
      assert.deepStrictEqual(yield* Queue.take(third.keys), keyOf("1"))
      // More than one payload's worth, each of them said twice.
      const many = Array.from({ length: 2000 }, (_, i) => `stream-${i}-${"x".repeat(80)}`)
      for (const streamId of [...many, ...many]) yield* two.announce([keyOf(streamId)])
      yield* two.announce([keyOf("the end")])
      const heard = new Set<string>()
      while (!heard.has("the end")) heard.add((yield* Queue.take(first.keys)).streamId)
      assert.sameMembers([...heard], [...many, "the end"])
      yield* one.announce([keyOf("back")])
      assert.deepStrictEqual(yield* Queue.take(second.keys), keyOf("back"))
    })
  )

  it.live("say what has gathered at once, in payloads that a NOTIFY can have", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const signals = yield* openSignals(url)
      const sql = Context.get(yield* Layer.build(PgStorage.layerClient({ url })), PgClient.PgClient)
      const notifications = yield* sql.listen("sealog")
      const names = Array.from({ length: 2000 }, (_, i) => `stream-${i}-${"x".repeat(80)}`)
      for (const streamId of [...names, "the end"]) yield* signals.announce([keyOf(streamId)])
      const said: Array<string> = []
      while (!said.at(-1)?.includes("the end")) said.push((yield* Queue.take(notifications)).payload)
      const text = said.join()
      assert.isTrue(names.every((name) => text.includes(name)))
      assert.isTrue(said.every((payload) => Buffer.byteLength(payload) < 8000))
      // Of a hundred bytes each, some seventy fit into one.
      assert.isBelow(said.length, 200)
    })
  )

  it.live("carry ephemeral messages byte for byte, in order, up to a size", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const [one, two] = yield* Effect.all([openSignals(url), openSignals(url)])
      const [own, heard] = [yield* hear(one), yield* hear(two)]
      const frames = [1, 100, 5000, 7000, 60_000].map((size) => crypto.getRandomValues(new Uint8Array(size)))
      for (const frame of frames) yield* one.broadcast({ key: keyOf("a"), frame })
      yield* one.broadcast({ key: keyOf("a"), frame: new Uint8Array(100_000) })
      yield* one.broadcast({ key: keyOf("b"), frame: new Uint8Array([1]) })
      const received = yield* takeAll(heard.broadcasts, frames.length + 1)
      for (const [i, frame] of frames.entries()) {
        assert.deepStrictEqual(received[i]?.key, keyOf("a"))
        assert.strictEqual(Buffer.compare(received[i]!.frame, frame), 0)
      }
      assert.deepStrictEqual(received.at(-1)?.key, keyOf("b"))
      assert.strictEqual(yield* Queue.size(own.broadcasts), 0)
    })
  )

  it.live("pass over whatever else is said on the channel", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const [one, two] = yield* Effect.all([openSignals(url), openSignals(url)])
      const heard = yield* hear(two)
      const sql = Context.get(yield* Layer.build(PgStorage.layerClient({ url })), SqlClient.SqlClient)
      for (const payload of [
        "",
        "nonsense",
        "{}",
        "null",
        '{"from":"x"}',
        '{"from":"x","streams":"all"}',
        '{"from":"x","streams":[["@server","@access","more"]]}',
        '{"from":"x","streams":[["a/b","c"]]}',
        '{"from":"x","key":["notes","a"],"part":7,"isLast":true}',
        ...Array.from({ length: 300 }, (_, i) => `{"from":"${i}","key":["notes","a"],"part":"AAAA","isLast":false}`)
      ]) {
        yield* sql`SELECT pg_notify('sealog', ${payload})`
      }
      yield* one.announce([keyOf("still here")])
      assert.deepStrictEqual(yield* Queue.take(heard.keys), keyOf("still here"))
      assert.strictEqual(yield* Queue.size(heard.broadcasts), 0)
    })
  )

  it.live("begin anew when the connection is lost, and say that something may have been missed", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const [one, two] = yield* Effect.all([openSignals(url), openSignals(url)])
      const heard = yield* hear(two)
      const sql = Context.get(yield* Layer.build(PgStorage.layerClient({ url })), SqlClient.SqlClient)
      const listening = sql<{ pid: number }>`
        SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN%'`
      const before = yield* listening
      assert.isAbove(before.length, 0)
      for (const { pid } of before) yield* sql`SELECT pg_terminate_backend(${pid})`
      yield* Queue.take(heard.all)
      // By a new connection, not by the sweep; said until that is there.
      yield* Effect.forkScoped(Effect.repeat(one.announce([keyOf("after")]), Schedule.spaced("50 millis")))
      assert.deepStrictEqual(yield* Queue.take(heard.keys), keyOf("after"))
    })
  )

  it.live("say every few seconds that something may have been missed", () =>
    Effect.gen(function* () {
      const heard = yield* hear(yield* openSignals(yield* freshDatabase))
      assert.deepStrictEqual(yield* takeAll(heard.all, 2), ["all", "all"])
    })
  )

  it.live("are sent before a command ends, also when it was the last thing it did", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const heard = yield* hear(yield* openSignals(url))
      const command = Effect.scoped(
        Effect.flatMap(openSignals(url), (signals) => signals.announce([keyOf("last words")]))
      )
      // One that has no time to say it leaves it to the sweep; the next has.
      yield* Effect.forkScoped(Effect.repeat(command, Schedule.spaced("1 second")))
      assert.deepStrictEqual(yield* Queue.take(heard.keys), keyOf("last words"))
    })
  )
})
