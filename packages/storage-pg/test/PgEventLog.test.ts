import { assert, describe, it } from "@effect/vitest"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { LibraryId } from "@sealog/server/domain/Ids"
import { emptyHead, place } from "@sealog/server/domain/Stream"
import type { Append } from "@sealog/server/EventLog"
import { eventLogSuite } from "@sealog/server/testing"
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { freshDatabase } from "../../../test/support/postgres.ts"
import { APPEND, type AppendRow, appendParameters } from "../src/Append.ts"
import { PgStorage } from "../src/index.ts"

eventLogSuite("Postgres", Layer.unwrap(Effect.map(freshDatabase, (url) => PgStorage.layerWithoutMigrations({ url }))))

const payload = new TextEncoder().encode("sealed")
const firstUpdate = (streamId: string): Append => {
  const key = { libraryId: LibraryId.make("notes"), streamId }
  const update = { type: "UpdateStored", data: {}, payloadHash: blake2b256(payload), checkpoint: false }
  return { key, expectedVersion: 0, events: [{ event: place(key, emptyHead, update, "test", 1), payload }] }
}

describe("a new stream's number", () => {
  it.effect("that its library has already is a conflict with nothing, and stores nothing", () =>
    Effect.gen(function* () {
      const services = yield* Layer.build(PgStorage.layerClient({ url: yield* freshDatabase }))
      const sql = Context.get(services, SqlClient.SqlClient)
      const appendNumbered = (append: Append, number: number) =>
        sql.unsafe<AppendRow>(
          APPEND,
          appendParameters([append], () => number)
        )
      const [first, second] = [firstUpdate("first"), firstUpdate("second")]
      assert.deepStrictEqual(yield* appendNumbered(first, 7), [{ committed: true, actual: null }])
      assert.deepStrictEqual(yield* appendNumbered(second, 7), [{ committed: false, actual: null }])
      assert.deepStrictEqual(yield* appendNumbered(second, Number.MAX_SAFE_INTEGER), [
        { committed: true, actual: null }
      ])
      const elsewhere = { ...first, key: { ...first.key, libraryId: LibraryId.make("other") } }
      assert.deepStrictEqual(yield* appendNumbered(elsewhere, 7), [{ committed: true, actual: null }])
      const held = yield* sql`SELECT library_id, stream_number::float8 AS number FROM sealog.payloads ORDER BY 1, 2`
      assert.deepStrictEqual(held, [
        { library_id: "notes", number: 7 },
        { library_id: "notes", number: Number.MAX_SAFE_INTEGER },
        { library_id: "other", number: 7 }
      ])
    })
  )
})
