/** A list of streams whose index is not that of its table, as a disk leaves it that has lost a write. */
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { LibraryId } from "@sealog/server/domain/Ids"
import { emptyHead, place } from "@sealog/server/domain/Stream"
import { EventLog } from "@sealog/server/ports/EventLog"
import { Cause, Effect, Exit, Layer } from "effect"
import { SqliteStorage } from "../src/index.ts"

const key = { libraryId: LibraryId.make("notes"), streamId: "welcome" }

/** Puts the index of as many other streams, sound in itself, in the place of the index of the streams. */
const exchangeIndex = (filename: string): void => {
  const database = new DatabaseSync(filename, { defensive: false })
  const { sql } = database.prepare("SELECT sql FROM sqlite_schema WHERE name = 'streams'").get() as { sql: string }
  database.exec(sql.replace(/CREATE TABLE "?streams"?/, "CREATE TABLE other_streams"))
  database.exec("INSERT INTO other_streams SELECT * FROM streams")
  database.exec("UPDATE other_streams SET stream_id = 'other ' || stream_id")
  const rootOf = (table: string) =>
    database.prepare("SELECT rootpage FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?").get(table)?.[
      "rootpage"
    ]
  const [own, other] = [rootOf("streams"), rootOf("other_streams")]
  database.exec("PRAGMA writable_schema = ON")
  const swap = database.prepare("UPDATE sqlite_schema SET rootpage = ? WHERE type = 'index' AND tbl_name = ?")
  swap.run(other!, "streams")
  swap.run(own!, "other_streams")
  database.close()
}

describe("the list of streams", () => {
  it.effect("is refused when its index does not name a stream, with the way to mend the index", () =>
    Effect.gen(function* () {
      const filename = join(mkdtempSync(join(tmpdir(), "sealog-streams-")), "log.db")
      const payload = new TextEncoder().encode("sealed")
      const event = { type: "UpdateStored", data: {}, payloadHash: blake2b256(payload), checkpoint: false }
      const placed = { event: place(key, emptyHead, event, "test", 0), payload }
      const write = EventLog.use((log) => log.append([{ key, expectedVersion: 0, events: [placed] }]))
      yield* Effect.provide(write, SqliteStorage.layer({ filename }))
      exchangeIndex(filename)

      const opened = yield* Effect.exit(Effect.scoped(Layer.build(SqliteStorage.layer({ filename }))))
      assert.isTrue(Exit.isFailure(opened))
      const text = Exit.isFailure(opened) ? Cause.pretty(opened.cause) : ""
      assert.match(text, /missing from index/)
      assert.match(text, /REINDEX streams/)
    })
  )
})
