/** Large batches are appended on a thread, and are stored, judged and refused as small ones are. */
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { LibraryId } from "@sealog/server/domain/Ids"
import { advance, emptyHead, place, type StreamHead, type StreamKey } from "@sealog/server/domain/Stream"
import { type Append, EventLog, type PlacedEvent } from "@sealog/server/ports"
import { Context, Effect, Exit, Layer } from "effect"
import { SqliteStorage } from "../src/index.ts"

const MB = 1024 * 1024

const key = (streamId: string): StreamKey => ({ libraryId: LibraryId.make("large"), streamId })

/** An append of events with payloads of these lengths. */
const appendOf = (streamId: string, head: StreamHead, lengths: ReadonlyArray<number>, uniqueKey?: string) => {
  let last = head
  const events = lengths.map((length, i): PlacedEvent => {
    const payload = new Uint8Array(length).fill(i + 1)
    const event = { type: "Stored", data: {}, payloadHash: blake2b256(payload), checkpoint: false }
    const placed = place(key(streamId), last, uniqueKey === undefined ? event : { ...event, uniqueKey }, "test", 0)
    last = advance(last, placed)
    return { event: placed, payload }
  })
  const append = { key: key(streamId), expectedVersion: head.version, expectedChain: head.chain, events }
  return { append: append as unknown as Append, head: last }
}

const openLog = Effect.fnUntraced(function* (busyTimeout = 2000) {
  const filename = join(mkdtempSync(join(tmpdir(), "sealog-")), "log.db")
  const log = Context.get(yield* Layer.build(SqliteStorage.layer({ filename, busyTimeout })), EventLog)
  return { filename, log }
})

describe("large appends", () => {
  it.live("are stored as small ones, and leave the event loop alone", () =>
    Effect.gen(function* () {
      const { log } = yield* openLog()
      const small = appendOf("a", emptyHead, [10, 20], "first")
      assert.deepStrictEqual(yield* log.append([appendOf("a", emptyHead, [10], "first").append]), [
        { _tag: "Committed" }
      ])
      const after = appendOf("a", emptyHead, [10], "first").head
      const large = appendOf("a", after, [3 * MB, 0, 5])
      const other = appendOf("b", emptyHead, [2 * MB])
      const stale = appendOf("a", small.head, [2 * MB])
      const taken = appendOf("a", large.head, [2 * MB], "first")

      let [turns, isAppending] = [0, true]
      const turn = (): void => {
        turns += 1
        if (isAppending) setImmediate(turn)
      }
      setImmediate(turn)
      assert.deepStrictEqual(yield* log.append([stale.append, other.append]), [
        { _tag: "Conflict", actualVersion: 1 },
        { _tag: "Committed" }
      ])
      isAppending = false
      assert.isAtLeast(turns, 10)

      assert.deepStrictEqual(yield* log.append([large.append]), [{ _tag: "Committed" }])
      assert.deepStrictEqual(yield* log.append([taken.append]), [{ _tag: "UniqueKeyTaken" }])
      const read = yield* log.read(key("a"), { after: 1 })
      assert.deepStrictEqual(
        read.map(({ event }) => event),
        large.append.events.map(({ event }) => event)
      )
      for (const [i, { payload }] of read.entries()) {
        assert.isTrue(Buffer.from(payload!).equals(large.append.events[i]!.payload!))
      }
      assert.deepStrictEqual(yield* log.heads([key("a"), key("b")]), [large.head, other.head])
    })
  )

  it.live("can be made again after a conflict", () =>
    Effect.gen(function* () {
      const { log } = yield* openLog()
      const { append } = appendOf("a", emptyHead, [2 * MB])
      assert.deepStrictEqual(yield* log.append([{ ...append, expectedVersion: 7 }]), [
        { _tag: "Conflict", actualVersion: 0 }
      ])
      assert.deepStrictEqual(yield* log.append([append]), [{ _tag: "Committed" }])
    })
  )

  it.live("are unavailable while another process holds the file, and work afterwards", () =>
    Effect.gen(function* () {
      const { filename, log } = yield* openLog(50)
      const holder = yield* Effect.acquireRelease(
        Effect.sync(() => new DatabaseSync(filename)),
        (database) => Effect.sync(() => database.close())
      )
      const { append } = appendOf("a", emptyHead, [2 * MB])
      holder.exec("BEGIN IMMEDIATE")
      const refused = yield* Effect.flip(log.append([append]))
      assert.strictEqual(refused._tag, "StorageUnavailable")
      holder.exec("ROLLBACK")
      assert.deepStrictEqual(yield* log.append([append]), [{ _tag: "Committed" }])
    })
  )

  it.live("within a turn that holds the stream belong to its transaction", () =>
    Effect.gen(function* () {
      const { log } = yield* openLog()
      const first = appendOf("a", emptyHead, [10])
      yield* log.append([first.append])
      const second = appendOf("a", first.head, [2 * MB])
      const exit = yield* Effect.exit(
        log.exclusively(key("a"), Effect.andThen(log.append([second.append]), Effect.die("the turn fails")))
      )
      assert.isTrue(Exit.isFailure(exit))
      assert.deepStrictEqual(yield* log.heads([key("a")]), [first.head])
    })
  )
})
