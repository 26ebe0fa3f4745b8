/** The storage of docs/storage.md is one: it passes the log's suite, and has everything when it is opened again. */
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { EventLog } from "@sealog/server/ports"
import { eventLogSuite } from "@sealog/server/testing"
import { Effect } from "effect"
import { afterAll } from "vitest"
import { layer } from "../../examples/storage/JournalEventLog.ts"

const folder = mkdtempSync(join(tmpdir(), "sealog-journal-"))
afterAll(() => rmSync(folder, { recursive: true }))

const everything = Effect.gen(function* () {
  const log = yield* EventLog
  const streams = yield* log.streams({ limit: 10_000 })
  const events = yield* Effect.forEach(streams, ({ key }) => log.read(key, { after: 0 }))
  return { streams, events }
})

const journal = join(folder, "suite.jsonl")
eventLogSuite("the example's journal", layer(journal))

describe("the example's journal", () => {
  it.effect("has all events of the suite when it is opened again, also after a line that was cut off", () =>
    Effect.gen(function* () {
      const before = yield* Effect.provide(everything, layer(journal))
      assert.isAbove(before.streams.length, 20)
      const text = readFileSync(journal, "utf8")
      appendFileSync(journal, '[[{"key":{"libraryId"')
      assert.deepStrictEqual(yield* Effect.provide(everything, layer(journal)), before)
      assert.strictEqual(readFileSync(journal, "utf8"), text)
    })
  )
})
