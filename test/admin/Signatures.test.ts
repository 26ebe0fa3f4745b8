/** Signatures are verified while a replay or copy goes on, and their problems are reported in order and at their versions. */
import { assert, describe, it } from "@effect/vitest"
import { copy } from "@sealog/server/admin/Copy"
import { replay } from "@sealog/server/admin/Replay"
import { emptyHead, type StreamKey } from "@sealog/server/domain/Stream"
import type { PlacedEvent } from "@sealog/server/ports/EventLog"
import { Signatures } from "@sealog/server/signatures/Signatures"
import { makeAuthor, snapshotMessage, updateMessage } from "@sealog/server/testing"
import { Effect, Fiber } from "effect"
import { changed, docId, holdings, key, type Log, memory, on, store } from "./support.ts"

const author = makeAuthor()
const { signature } = updateMessage(makeAuthor(), { docId, refSnapshotId: "first", clock: 0 })

/** A snapshot and updates, from version 1 on. The versions in `forged` have a signature by another author. */
const messages = (events: number, forged: ReadonlyArray<number>, docId = key.streamId) => [
  snapshotMessage(author, { docId, snapshotId: "first" }),
  ...Array.from({ length: events - 1 }, (_, clock) => {
    const message = updateMessage(author, { docId, refSnapshotId: "first", clock })
    return forged.includes(clock + 2) ? { ...message, signature } : message
  })
]

const longStream = (events: number, forged: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    const log = yield* memory
    yield* on(log, store(emptyHead, messages(events, forged)))
    return log
  })

/** 200 documents of five events. Every seventh has one event with a forged signature. */
const manyStreams = Effect.gen(function* () {
  const log = yield* memory
  const forged: Array<string> = []
  for (let i = 0; i < 200; i++) {
    const at: StreamKey = { ...key, streamId: `document-${String(i).padStart(3, "0")}` }
    const version = i % 7 === 0 ? 2 + (i % 4) : undefined
    if (version !== undefined) forged.push(`${at.streamId} ${version} signature-invalid`)
    yield* on(log, store(emptyHead, messages(5, version === undefined ? [] : [version], at.streamId), at))
  }
  return { log, forged }
})

/** The log with the events at some versions changed. */
const tampered = (log: Log, changes: Readonly<Record<number, (placed: PlacedEvent) => PlacedEvent>>): Log =>
  changed(log, ({ read }) => ({
    read: (at, options) =>
      Effect.map(read(at, options), (page) => page.map((placed) => changes[placed.event.version]?.(placed) ?? placed))
  }))

const otherOrigin = ({ event, payload }: PlacedEvent): PlacedEvent => ({ event: { ...event, origin: "x" }, payload })
const otherPayload = ({ event }: PlacedEvent): PlacedEvent => ({ event, payload: Buffer.from("x") })
const noPayload = ({ event }: PlacedEvent): PlacedEvent => ({ event, payload: null })

/** A `Signatures` that counts how many pages are verified at the same time. */
const counting = () => {
  const count = { now: 0, most: 0, interrupted: 0 }
  const verify = (answer: Effect.Effect<void>): Signatures["Service"]["verify"] =>
    Effect.fnUntraced(
      function* (signed) {
        count.now += 1
        count.most = Math.max(count.most, count.now)
        yield* answer
        return signed.map(() => true)
      },
      Effect.onInterrupt(() => Effect.sync(() => (count.interrupted += 1))),
      Effect.ensuring(Effect.sync(() => (count.now -= 1)))
    )
  return { count, verify }
}

const named = (problems: ReadonlyArray<{ streamId: string; version: number; problem: string }>) =>
  problems.map(({ streamId, version, problem }) => `${streamId} ${version} ${problem}`)

describe("signature checks", () => {
  for (const [where, layer] of [
    ["on the caller's thread", Signatures.layerInline],
    ["on a thread", Signatures.layerThreads(1)],
    ["on two threads", Signatures.layerThreads(2)]
  ] as const) {
    it.live(`are reported in order among other problems, ${where}`, () =>
      Effect.gen(function* () {
        const log = tampered(yield* longStream(1300, [250, 600, 1300]), {
          249: otherPayload,
          251: otherPayload,
          601: otherOrigin,
          700: noPayload,
          1299: otherPayload
        })
        const { problems, problemCount } = yield* on(log, Effect.provide(replay(), layer))
        assert.strictEqual(problemCount, 8)
        assert.deepStrictEqual(
          named(problems),
          [
            "249 payload-changed",
            "250 signature-invalid",
            "251 payload-changed",
            "600 signature-invalid",
            "601 chain-broken",
            "1299 payload-changed",
            "1300 signature-invalid",
            // Only the end of the stream shows that no event purged it.
            "700 payload-missing"
          ].map((problem) => `${docId} ${problem}`)
        )
      })
    )

    it.live(`are reported stream by stream, ${where}`, () =>
      Effect.gen(function* () {
        const { forged, log } = yield* manyStreams
        const report = yield* on(log, Effect.provide(replay(), layer))
        assert.deepInclude(report, { streams: 200, events: 1000, payloads: 1000, problemCount: forged.length })
        assert.deepStrictEqual(named(report.problems), forged)
      })
    )

    it.live(`stop a copy at the first invalid signature, ${where}`, () =>
      Effect.gen(function* () {
        const from = yield* longStream(3100, [2600, 3100])
        const verified = Effect.fnUntraced(function* (from: Log) {
          const to = yield* memory
          const error = yield* Effect.flip(on(from, Effect.provide(copy(to, { verify: true }), layer)))
          return { error, ends: (yield* on(to, holdings)).map(({ version }) => version) }
        })
        // A copy writes 2,000 events at a time.
        for (const log of [from, tampered(from, { 2601: otherOrigin }), tampered(from, { 3000: otherPayload })]) {
          const { ends, error } = yield* verified(log)
          assert.deepInclude(error, { _tag: "StreamDamaged", version: 2600, problem: "signature-invalid" })
          assert.deepStrictEqual(ends, [2000])
        }
        for (const version of [2599, 2001]) {
          const { ends, error } = yield* verified(tampered(from, { [version]: otherOrigin }))
          assert.deepInclude(error, { _tag: "StreamDamaged", version, problem: "chain-broken" })
          assert.deepStrictEqual(ends, [2000])
        }
      })
    )
  }

  it.effect("overlap, for a few pages at most", () =>
    Effect.gen(function* () {
      const { log } = yield* manyStreams
      const { count, verify } = counting()
      const signatures = Signatures.of({ verify: verify(Effect.repeat(Effect.yieldNow, { times: 50 })) })
      yield* on(log, Effect.provideService(replay(), Signatures, signatures))
      assert.strictEqual(count.now, 0)
      assert.isAbove(count.most, 1)
      assert.isAtMost(count.most, 9)
    })
  )

  it.live("are interrupted with the replay or the copy", () =>
    Effect.gen(function* () {
      const log = yield* longStream(600, [])
      for (const work of [replay(), copy(yield* memory, { verify: true })]) {
        const { count, verify } = counting()
        const signatures = Signatures.of({ verify: verify(Effect.never) })
        const fiber = yield* Effect.forkChild(on(log, Effect.provideService(work, Signatures, signatures)))
        while (count.now < 2) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(count, { now: 0, most: 2, interrupted: 2 })
      }
    })
  )
})
