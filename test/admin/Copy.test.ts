/** Copying a log into another one, while either of them may change. */
import { assert, describe, it } from "@effect/vitest"
import { type CopyOptions, copy } from "@sealog/server/admin/Copy"
import { evict } from "@sealog/server/admin/Eviction"
import { replay } from "@sealog/server/admin/Replay"
import { revoke, suspend } from "@sealog/server/admin/Revocation"
import { LibraryId } from "@sealog/server/domain/Ids"
import { emptyHead, type StreamKey } from "@sealog/server/domain/Stream"
import { StorageUnavailable } from "@sealog/server/ports/EventLog"
import { makeAuthor, resign } from "@sealog/server/testing"
import { Effect } from "effect"
import {
  append,
  changed,
  docId,
  document,
  history,
  holdings,
  interposed,
  key,
  type Log,
  memory,
  on,
  snapshot,
  store,
  update
} from "./support.ts"

const other: StreamKey = { libraryId: LibraryId.make("other"), streamId: "plan" }
const copied = (from: Log, to: Log, options?: CopyOptions) => on(from, copy(to, options))

const requireEqual = Effect.fnUntraced(function* (from: Log, to: Log) {
  assert.deepStrictEqual(yield* on(to, holdings), yield* on(from, holdings))
})

describe("copy", () => {
  it.effect("copies every stream, also those of administration, and nothing the second time", () =>
    Effect.gen(function* () {
      const [from, to] = [yield* memory, yield* memory]
      yield* on(from, append(key, document(1200)))
      yield* on(from, append(other, document(3)))
      yield* on(from, suspend(key.libraryId))
      yield* on(from, revoke({ userId: "ada" }))
      yield* on(from, evict({ libraryId: other.libraryId }))
      const progress: Array<readonly [number, number]> = []
      const first = yield* copied(from, to, { onProgress: (...now) => progress.push(now) })
      assert.deepStrictEqual(first, {
        ...{ streams: 4, events: 1208, payloads: 1201, written: 1208, present: 0 },
        ...{ problems: [], problemCount: 0 }
      })
      assert.deepStrictEqual(progress.at(-1), [1208, 1208])
      yield* requireEqual(from, to)
      assert.deepInclude(yield* copied(from, to), { streams: 4, events: 0, written: 0, present: 1208 })
      yield* requireEqual(from, to)
    })
  )

  it.effect("copies a single library or document on request", () =>
    Effect.gen(function* () {
      const [from, library, one] = [yield* memory, yield* memory, yield* memory]
      yield* on(from, append(key, document(3)))
      yield* on(from, append({ ...key, streamId: "second" }, document(3)))
      yield* on(from, append(other, document(3)))
      yield* on(from, suspend(key.libraryId))
      const names = (log: Log) => Effect.map(on(log, holdings), (held) => held.map(({ streamId }) => streamId))
      yield* copied(from, library, { libraryId: key.libraryId })
      assert.deepStrictEqual(yield* names(library), ["@library", "second", "welcome"])
      yield* copied(from, one, { libraryId: key.libraryId, documentId: "second" })
      assert.deepStrictEqual(yield* names(one), ["second"])
    })
  )

  it.effect("continues after a failed append, wherever it failed", () =>
    Effect.gen(function* () {
      const from = yield* memory
      yield* on(from, append(key, document(5000)))
      yield* on(from, append(other, document(3000)))
      for (const batch of [1, 2, 3, 4, 5]) {
        const to = yield* memory
        const count = { n: 0 }
        const failure = new StorageUnavailable({ operation: "append", cause: new Error("cut") })
        const cut = changed(to, (log) => ({
          append: (batches) => (++count.n === batch ? Effect.fail(failure) : log.append(batches))
        }))
        const error = yield* Effect.flip(copied(from, cut))
        assert.include(error.message, "the database that is copied to")
        const had = (yield* on(to, holdings)).reduce((sum, { version }) => sum + version, 0)
        assert.strictEqual(had, Math.min(8002, (batch - 1) * 2000))
        assert.deepInclude(yield* copied(from, to), { present: had, written: 8002 - had })
        yield* requireEqual(from, to)
      }
    })
  )

  it.effect("purges payloads that an earlier run copied", () =>
    Effect.gen(function* () {
      const [from, to] = [yield* memory, yield* memory]
      yield* on(from, append(key, [...document(20), snapshot("second"), update(0, "second")]))
      yield* on(from, append(other, document(20)))
      yield* copied(from, to)
      yield* on(from, append(key, [{ _tag: "Pruned", before: 22 }, update(1, "second")]))
      yield* on(from, evict({ libraryId: other.libraryId }))
      yield* on(from, append(other, [snapshot("again")]))
      assert.deepInclude(yield* copied(from, to), { written: 4, problemCount: 0 })
      yield* requireEqual(from, to)
      const held = Object.fromEntries((yield* on(to, holdings)).map(({ streamId, payloads }) => [streamId, payloads]))
      assert.deepStrictEqual(held, { welcome: 3, plan: 1 })
    })
  )

  it.effect("copies no payload that an eviction takes while the stream is being read", () =>
    Effect.gen(function* () {
      // The eviction runs before each page in turn, so some pages were already read with their payloads.
      for (const page of [1, 2, 3, 4]) {
        const [from, to] = [yield* memory, yield* memory]
        yield* on(from, append(key, document(1700)))
        const watched = interposed(from, "read", page, on(from, evict({ libraryId: key.libraryId })))
        yield* copied(watched, to)
        yield* requireEqual(from, to)
        assert.strictEqual((yield* on(to, holdings))[0]?.payloads, 0)
      }
    })
  )

  it.effect("copies events that the source gains during the copy now or in the next run", () =>
    Effect.gen(function* () {
      const [from, to] = [yield* memory, yield* memory]
      yield* on(from, append(key, document(3)))
      const watched = interposed(to, "append", 1, on(from, append(key, [update(3), update(4)])))
      assert.deepInclude(yield* copied(from, watched), { written: 4 })
      assert.deepInclude(yield* copied(from, to), { written: 2, present: 4 })
      yield* requireEqual(from, to)
    })
  )

  it.effect("refuses a target with a different stream, and names the first version that differs", () =>
    Effect.gen(function* () {
      for (const [same, here, there] of [
        [0, 5, 1],
        [1, 5, 3],
        [7, 20, 8],
        [7, 20, 30],
        [100, 700, 600]
      ] as const) {
        const [from, to] = [yield* memory, yield* memory]
        yield* on(from, append(key, document(same - 1).slice(0, same)))
        yield* copied(from, to)
        yield* on(from, append(key, document(here).slice(same), { recordedAt: 1000 }))
        yield* on(to, append(key, document(there).slice(same), { recordedAt: 2000 }))
        const held = yield* on(to, holdings)
        const error = yield* Effect.flip(copied(from, to))
        assert.deepInclude(error, { _tag: "StreamDiverged", ...key, version: same + 1 })
        assert.deepStrictEqual(yield* on(to, holdings), held)
      }
    })
  )

  it.effect("refuses a target that continues after the source's last event", () =>
    Effect.gen(function* () {
      const [from, to] = [yield* memory, yield* memory]
      yield* on(from, append(key, document(3)))
      yield* copied(from, to)
      yield* on(to, append(key, [update(3)]))
      const error = yield* Effect.flip(copied(from, to))
      assert.deepInclude(error, { _tag: "StreamDiverged", version: 5 })
      assert.include(error.message, "notes/welcome version 5: the target goes on where the source ends")
    })
  )

  it.effect("refuses to continue when another process writes to the target", () =>
    Effect.gen(function* () {
      const [from, to] = [yield* memory, yield* memory]
      yield* on(from, append(key, document(3)))
      const watched = interposed(to, "append", 1, on(to, append(key, document(1), { recordedAt: 5 })))
      const error = yield* Effect.flip(copied(from, watched))
      assert.deepInclude(error, { _tag: "StreamDiverged", version: 1 })
      assert.include(error.message, "another process wrote to the target, which ends at version 2")
    })
  )

  it.effect("compares heads at the end, and finds a target that lost events and a source with a wrong head", () =>
    Effect.gen(function* () {
      const [from, to] = [yield* memory, yield* memory]
      yield* on(from, append(key, document(3)))
      const forgetful = changed(to, (log) => ({
        append: (batch) => Effect.as(log.append(batch), [{ _tag: "Committed" }])
      }))
      const deaf = changed(forgetful, () => ({ append: () => Effect.succeed([{ _tag: "Committed" }]) }))
      const lost = yield* Effect.flip(copied(from, deaf))
      assert.deepInclude(lost, { _tag: "StreamDiverged", version: 4 })
      const wrong = changed(from, (log) => ({
        heads: (keys) => Effect.map(log.heads(keys), (heads) => heads.map((head) => ({ ...head, generation: 1 })))
      }))
      const damaged = yield* Effect.flip(copied(wrong, to))
      assert.deepInclude(damaged, { _tag: "StreamDamaged", problem: "wrong-head" })
    })
  )

  it.effect("writes nothing of a stream from its first damaged page on", () =>
    Effect.gen(function* () {
      const [from, to] = [yield* memory, yield* memory]
      yield* on(from, append(key, document(1100)))
      const damaged = changed(from, (log) => ({
        read: (at, options) =>
          Effect.map(log.read(at, options), (page) =>
            page.map((placed) =>
              placed.event.version === 700 ? { ...placed, event: { ...placed.event, origin: "x" } } : placed
            )
          )
      }))
      const error = yield* Effect.flip(copied(damaged, to))
      assert.deepInclude(error, { _tag: "StreamDamaged", version: 700, problem: "chain-broken" })
      const cut = changed(from, (log) => ({
        read: (at, options) =>
          Effect.map(log.read(at, options), (page) => page.filter(({ event }) => event.version < 700))
      }))
      const missing = yield* Effect.flip(copied(cut, to))
      assert.deepInclude(missing, { _tag: "StreamDamaged", version: 700, problem: "missing-event" })
      const unreadable = changed(from, (log) => ({
        read: (at, { limit = 1, ...options }) =>
          options.after < 700 && options.after + limit >= 700
            ? Effect.die(new Error("not JSON"))
            : log.read(at, { limit, ...options })
      }))
      const died = yield* Effect.flip(copied(unreadable, to))
      assert.deepInclude(died, { _tag: "StreamDamaged", version: 700, problem: "unreadable-event" })
      assert.isBelow((yield* on(to, holdings))[0]?.version ?? 0, 700)
    })
  )

  it.effect("always finds a changed payload, and with `verify` everything that a replay finds", () =>
    Effect.gen(function* () {
      const author = makeAuthor()
      const from = yield* memory
      const [first, ...rest] = history(author)
      const forged = resign(makeAuthor(), rest[0]!, {})
      yield* on(from, store(emptyHead, [first, { ...forged, publicData: rest[0]!.publicData }]))
      assert.strictEqual((yield* on(from, replay())).problems[0]?.problem, "signature-invalid")
      const fast = yield* memory
      assert.deepInclude(yield* copied(from, fast), { written: 2 })
      // Events that the target already has are verified as well.
      for (const to of [yield* memory, fast]) {
        const error = yield* Effect.flip(copied(from, to, { verify: true }))
        assert.deepInclude(error, { _tag: "StreamDamaged", version: 2, problem: "signature-invalid" })
      }
      const sound = yield* memory
      yield* on(sound, store(emptyHead, history(author)))
      const to = yield* memory
      assert.deepInclude(yield* copied(sound, to, { verify: true }), { events: 6, written: 6, problemCount: 0 })
      assert.deepInclude(yield* copied(sound, to, { verify: true }), { events: 6, written: 0, present: 6 })
      const changedPayload = changed(sound, (log) => ({
        read: (at, options) =>
          Effect.map(log.read(at, options), (page) => page.map((placed) => ({ ...placed, payload: Buffer.from("x") })))
      }))
      const error = yield* Effect.flip(copied(changedPayload, yield* memory))
      assert.deepInclude(error, { _tag: "StreamDamaged", version: 1, problem: "payload-changed" })
    })
  )

  it.effect("names payloads that are missing without a purge, and copies the rest", () =>
    Effect.gen(function* () {
      const [from, to] = [yield* memory, yield* memory]
      yield* on(from, append(key, document(4)))
      const lossy = changed(from, (log) => ({
        read: (at, options) =>
          Effect.map(log.read(at, options), (page) =>
            page.map((placed) => (placed.event.version === 3 ? { ...placed, payload: null } : placed))
          )
      }))
      const report = yield* copied(lossy, to)
      assert.deepInclude(report, { written: 5, problemCount: 1 })
      assert.deepInclude(report.problems[0], { version: 3, problem: "payload-missing" })
    })
  )

  it.effect("stops at a version or a time, and names payloads that a later event purged", () =>
    Effect.gen(function* () {
      const from = yield* memory
      yield* on(from, append(key, document(9), { recordedAt: 1000 }))
      yield* on(from, append(other, document(9), { recordedAt: 5000 }))
      const part = yield* memory
      const scope = { libraryId: key.libraryId, documentId: docId }
      yield* copied(from, part, { ...scope, until: { version: 4 } })
      assert.deepInclude((yield* on(part, holdings))[0], { ...key, version: 4, payloads: 4 })
      // A second run may continue to a later version, but not go back.
      assert.deepInclude(yield* copied(from, part, { ...scope, until: { version: 6 } }), { written: 2, present: 4 })
      const error = yield* Effect.flip(copied(from, part, { ...scope, until: { version: 5 } }))
      assert.deepInclude(error, { _tag: "StreamDiverged", version: 6 })

      const early = yield* memory
      assert.deepInclude(yield* copied(from, early, { until: { time: 1006 } }), { streams: 1, written: 7 })
      assert.deepInclude((yield* on(early, holdings))[0], { ...key, version: 7 })

      yield* on(from, evict({ libraryId: key.libraryId }))
      const late = yield* memory
      const report = yield* copied(from, late, { ...scope, until: { version: 4 } })
      assert.deepInclude(report, { written: 4, problemCount: 4, payloads: 0 })
      assert.deepInclude(report.problems[3], { ...key, version: 4, problem: "payload-missing" })
    })
  )
})
