import { assert, describe, it } from "@effect/vitest"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { LibraryId } from "@sealog/server/domain/Ids"
import { advance, emptyHead, place, type StreamHead } from "@sealog/server/domain/Stream"
import { type Append, EventLog } from "@sealog/server/ports/EventLog"
import { PayloadCodec } from "@sealog/server/storage"
import { eventLogSuite } from "@sealog/server/testing"
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { freshDatabase } from "#test-support/storage/databases"
import { APPEND, type AppendRow, appendParameters } from "../src/Append.ts"
import { PgStorage } from "../src/index.ts"

eventLogSuite("Postgres", Layer.unwrap(Effect.map(freshDatabase, (url) => PgStorage.layerWithoutMigrations({ url }))))

const payload = new TextEncoder().encode("sealed")
const updateAfter = (streamId: string, head: StreamHead): Append => {
  const key = { libraryId: LibraryId.make("notes"), streamId }
  const update = { type: "UpdateStored", data: {}, payloadHash: blake2b256(payload), checkpoint: false }
  return { key, expectedVersion: head.version, events: [{ event: place(key, head, update, "test", 1), payload }] }
}
const firstUpdate = (streamId: string) => updateAfter(streamId, emptyHead)
const secondUpdate = (streamId: string) =>
  updateAfter(streamId, advance(emptyHead, firstUpdate(streamId).events[0].event))

describe("a new stream's number", () => {
  it.effect("is not taken twice in a library: the statement then stores nothing", () =>
    Effect.gen(function* () {
      const services = yield* Layer.build(PgStorage.layerClient({ url: yield* freshDatabase }))
      const sql = Context.get(services, SqlClient.SqlClient)
      const codec = yield* PayloadCodec
      const appendNumbered = (append: Append, number: number) =>
        sql.unsafe<AppendRow>(
          APPEND,
          appendParameters(codec, [append], () => number)
        )
      const [first, second] = [firstUpdate("first"), firstUpdate("second")]
      assert.deepStrictEqual(yield* appendNumbered(first, 7), [
        { i: 1, committed: true, actual: null, key_taken: false }
      ])
      assert.deepStrictEqual(yield* appendNumbered(second, 7), [
        { i: 1, committed: false, actual: null, key_taken: false }
      ])
      assert.deepStrictEqual(yield* appendNumbered(second, Number.MAX_SAFE_INTEGER), [
        { i: 1, committed: true, actual: null, key_taken: false }
      ])
      const elsewhere = { ...first, key: { ...first.key, libraryId: LibraryId.make("other") } }
      assert.deepStrictEqual(yield* appendNumbered(elsewhere, 7), [
        { i: 1, committed: true, actual: null, key_taken: false }
      ])
      const held = yield* sql`SELECT library_id, stream_number::float8 AS number FROM sealog.payloads ORDER BY 1, 2`
      assert.deepStrictEqual(held, [
        { library_id: "notes", number: 7 },
        { library_id: "notes", number: Number.MAX_SAFE_INTEGER },
        { library_id: "other", number: 7 }
      ])
    })
  )
})

/** How often the tables were scanned, by an index or as a whole. A session reports its scans when it ends at the latest. */
const countScans = Effect.fnUntraced(function* (url: string) {
  const services = yield* Layer.build(PgStorage.layerClient({ url }))
  const sql = Context.get(services, SqlClient.SqlClient)
  let others: ReadonlyArray<object>
  do {
    others = yield* sql`SELECT FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`
  } while (others.length > 0)
  return yield* sql<{ table: string; scans: number }>`
    SELECT relname AS table, (seq_scan + coalesce(idx_scan, 0))::float8 AS scans FROM pg_stat_user_tables
    WHERE schemaname = 'sealog' AND relname IN ('events', 'payloads') ORDER BY 1`
}, Effect.scoped)

describe("appending an update", () => {
  it.effect("reads no event and no payload", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      // The scans of the migration, which created the indexes.
      const before = yield* countScans(url)
      assert.strictEqual(before.length, 2)
      yield* Effect.gen(function* () {
        const log = yield* EventLog
        for (let i = 0; i < 20; i++) {
          yield* log.append([firstUpdate(`a${i}`), firstUpdate(`b${i}`)])
          yield* log.append([secondUpdate(`a${i}`), secondUpdate(`b${i}`)])
        }
      }).pipe(Effect.provide(PgStorage.layerWithoutMigrations({ url })))
      assert.deepStrictEqual(yield* countScans(url), before)
    })
  )
})
