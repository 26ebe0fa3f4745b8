import { mkdtempSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { LibraryId } from "@sealog/server/domain/Ids"
import { emptyHead, place, type StreamKey } from "@sealog/server/domain/Stream"
import { type Append, EventLog } from "@sealog/server/EventLog"
import { Signals } from "@sealog/server/Signals"
import { Effect, Fiber, Layer, Stream } from "effect"
import { SqlClient } from "effect/sql"
import { SqliteStorage } from "../src/index.ts"

const freshFile = () => join(mkdtempSync(join(tmpdir(), "sealog-storage-")), "log.db")
const key: StreamKey = { libraryId: LibraryId.make("notes"), streamId: "welcome" }

const firstEvent = (key: StreamKey): Append => {
  const payload = new TextEncoder().encode("sealed")
  const event = { type: "UpdateStored", data: {}, payloadHash: blake2b256(payload), checkpoint: false }
  return { key, expectedVersion: 0, events: [{ event: place(key, emptyHead, event, "test", 0), payload }] }
}

describe("SqliteStorage", () => {
  it.effect("still has everything when it is opened again", () =>
    Effect.gen(function* () {
      const filename = freshFile()
      const append = firstEvent(key)
      const write = Effect.flatMap(EventLog, (log) => log.append([append]))
      yield* Effect.provide(write, SqliteStorage.layer({ filename }))
      const read = Effect.flatMap(EventLog, (log) => log.read(key, { after: 0 }))
      assert.deepStrictEqual(
        yield* Effect.provide(read, SqliteStorage.layerWithoutMigrations({ filename })),
        append.events
      )
      assert.strictEqual(statSync(filename).mode & 0o777, 0o600)
    })
  )

  it.effect("lets nobody change or delete an event", () =>
    Effect.gen(function* () {
      const filename = freshFile()
      yield* Effect.provide(
        Effect.flatMap(EventLog, (log) => log.append([firstEvent(key)])),
        SqliteStorage.layer({ filename })
      )
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const update = yield* Effect.flip(sql`UPDATE events SET origin = 'somebody else'`)
        assert.match(String(update.reason.cause), /events are never changed/)
        const deletion = yield* Effect.flip(sql`DELETE FROM events`)
        assert.match(String(deletion.reason.cause), /events are never deleted/)
        const [settings] = yield* sql`SELECT (SELECT synchronous FROM pragma_synchronous) AS synchronous,
          (SELECT journal_mode FROM pragma_journal_mode) AS journal_mode`
        assert.deepStrictEqual(settings, { synchronous: 2, journal_mode: "wal" })
      }).pipe(Effect.provide(SqliteStorage.layerClient({ filename })))
    })
  )

  it.effect("says which migrations a database has", () =>
    Effect.gen(function* () {
      const filename = freshFile()
      yield* Layer.build(SqliteStorage.layerClient({ filename }))
      const before = yield* SqliteStorage.readMigrationStatus({ filename })
      assert.deepStrictEqual(before, [{ id: 1, name: "log", applied: false }])
      assert.deepStrictEqual(yield* SqliteStorage.applyMigrations({ filename }), [[1, "log"]])
      assert.deepStrictEqual(yield* SqliteStorage.applyMigrations({ filename }), [])
      assert.isTrue((yield* SqliteStorage.readMigrationStatus({ filename })).every(({ applied }) => applied))
    })
  )

  it.live("wakes when another connection has written, naming the stream", () =>
    Effect.gen(function* () {
      const filename = freshFile()
      const here = yield* Layer.build(SqliteStorage.layer({ filename }))
      const there = yield* Layer.build(SqliteStorage.layer({ filename }))
      const woken = yield* Signals.pipe(
        Effect.flatMap(({ wakeups }) => Stream.runHead(wakeups)),
        Effect.provide(here),
        Effect.forkChild
      )
      // Written again and again: the first write may come before the listener has looked for the first time.
      const write = Effect.gen(function* () {
        const log = yield* EventLog
        const fresh = { ...key, streamId: crypto.randomUUID() }
        yield* log.append([firstEvent(fresh)])
        yield* Effect.sleep("20 millis")
      }).pipe(Effect.provide(there))
      yield* Effect.forkChild(Effect.forever(write))
      const streams = yield* Fiber.join(woken)
      assert.strictEqual(
        streams._tag === "Some" && streams.value !== "all" && streams.value[0]?.libraryId,
        key.libraryId
      )
    })
  )
})
