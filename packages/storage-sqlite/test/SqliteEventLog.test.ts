import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { LibraryId } from "@sealog/server/domain/Ids"
import { advance, emptyHead, type NewEvent, PRUNED, place } from "@sealog/server/domain/Stream"
import { EventLog, type PlacedEvent } from "@sealog/server/ports"
import { eventLogSuite } from "@sealog/server/testing"
import { Context, Effect, Layer } from "effect"
import { SqliteStorage } from "../src/index.ts"

eventLogSuite("SQLite, in memory", SqliteStorage.layer({ filename: ":memory:" }))

eventLogSuite(
  "SQLite, in a file",
  SqliteStorage.layer({ filename: join(mkdtempSync(join(tmpdir(), "sealog-")), "new", "log.db") })
)

it.live("other work of the process goes on while many payloads are purged", () =>
  Effect.gen(function* () {
    const log = Context.get(yield* Layer.build(SqliteStorage.layer({ filename: ":memory:" })), EventLog)
    const key = { libraryId: LibraryId.make("large"), streamId: "document" }
    let head = emptyHead
    const placed = (event: NewEvent, payload: Uint8Array | null): PlacedEvent => {
      const at = place(key, head, event, "test", 0)
      head = advance(head, at)
      return { event: at, payload }
    }
    const EVENTS = 2000
    const [first, ...rest] = Array.from({ length: EVENTS }, (_, i) => {
      const payload = new Uint8Array(1000).fill(i)
      return placed({ type: "Stored", data: {}, payloadHash: blake2b256(payload), checkpoint: false }, payload)
    })
    yield* log.append([{ key, expectedVersion: 0, events: [first!, ...rest] }])

    let [turns, isPurging] = [0, true]
    const turn = (): void => {
      turns += 1
      if (isPurging) setImmediate(turn)
    }
    setImmediate(turn)
    const pruned = placed({ type: PRUNED, data: { before: EVENTS + 1 }, payloadHash: "", checkpoint: false }, null)
    yield* log.append([{ key, expectedVersion: EVENTS, events: [pruned], purgeBefore: EVENTS + 1 }])
    isPurging = false
    assert.isAtLeast(turns, 15)
    assert.deepStrictEqual(yield* log.held(key, EVENTS + 1), { payloads: 0, payloadBytes: 0 })
  })
)
