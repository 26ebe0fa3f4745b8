import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { LibraryId } from "@sealog/server/domain/Ids"
import type { StreamKey } from "@sealog/server/domain/Stream"
import { Signals } from "@sealog/server/ports/Signals"
import { signalsSuite } from "@sealog/server/testing"
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

const openSql = (url: string) =>
  Effect.map(Layer.build(PgStorage.layerClient({ url })), (services) => Context.get(services, SqlClient.SqlClient))

/** Ends the connections that listen for notifications. */
const cutListeners = Effect.fnUntraced(function* (url: string) {
  const sql = yield* openSql(url)
  const ended = yield* sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND query ILIKE 'LISTEN%'`
  assert.isAbove(ended.length, 0)
}, Effect.orDie)

signalsSuite(
  "Postgres",
  Effect.map(freshDatabase, (url) => ({
    open: Effect.orDie(Effect.map(openSignals(url), (signals) => ({ signals, write: signals.announce }))),
    interrupt: Effect.orDie(cutListeners(url))
  }))
)

/** Listens once the connection is there; returns the named streams and the number of broadcasts. */
const listen = Effect.fnUntraced(function* (signals: Signals["Service"]) {
  const named = yield* Queue.unbounded<StreamKey>()
  const all = yield* Queue.unbounded<"all">()
  const broadcasts = yield* Queue.unbounded<unknown>()
  yield* Effect.forkScoped(
    Stream.runForEach(signals.wakeups, (woken) =>
      woken === "all" ? Effect.asVoid(Queue.offer(all, woken)) : Effect.asVoid(Queue.offerAll(named, woken))
    )
  )
  yield* Effect.forkScoped(Stream.runForEach(signals.broadcasts, (message) => Queue.offer(broadcasts, message)))
  // "all" comes with the connection: nothing is missed from here on.
  yield* Queue.take(all)
  return { named, broadcasts }
})

describe("signals by NOTIFY", () => {
  it.live("announce many streams with few notifications, each within Postgres' limit", () =>
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
      // A name takes about a hundred bytes, so about seventy fit into one notification.
      assert.isBelow(said.length, 200)
    })
  )

  it.live("ignore notifications on the channel that are not signals", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const [one, two] = yield* Effect.all([openSignals(url), openSignals(url)])
      const heard = yield* listen(two)
      const sql = yield* openSql(url)
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
      assert.deepStrictEqual(yield* Queue.take(heard.named), keyOf("still here"))
      assert.strictEqual(yield* Queue.size(heard.broadcasts), 0)
    })
  )

  it.live("are sent before a command ends, also when the announcement is its last act", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const heard = yield* listen(yield* openSignals(url))
      const command = Effect.scoped(
        Effect.flatMap(openSignals(url), (signals) => signals.announce([keyOf("last words")]))
      )
      // A command that ends before it connects leaves its announcement to the sweep; a later command has the time.
      yield* Effect.forkScoped(Effect.repeat(command, Schedule.spaced("1 second")))
      assert.deepStrictEqual(yield* Queue.take(heard.named), keyOf("last words"))
    })
  )
})
