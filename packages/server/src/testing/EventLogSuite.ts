/** The conformance suite of `EventLog`. A storage's own test file only names its layer. */
import { assert, layer } from "@effect/vitest"
import { Cause, Effect, Exit, type Layer } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { blake2b256 } from "../domain/Blake2b.ts"
import { canonicalJson } from "../domain/CanonicalJson.ts"
import { Hash, LibraryId } from "../domain/Ids.ts"
import {
  advance,
  chainOf,
  EVICTED,
  emptyHead,
  type NewEvent,
  PRUNED,
  place,
  type StreamHead,
  type StreamKey
} from "../domain/Stream.ts"
import { payloadOf } from "../domain/secsync/PackedMessage.ts"
import { type Append, EventLog, type PlacedEvent, StorageUnavailable } from "../ports/EventLog.ts"
import { makeAuthor, updateMessage } from "./SealedMessages.ts"

const hashOf = (text: string): Hash => blake2b256(text)
const randomLibrary = () => LibraryId.make(`lib-${crypto.randomUUID()}`)
const randomKey = (): StreamKey => ({ libraryId: randomLibrary(), streamId: crypto.randomUUID() })

const bytes = (text: string) => new TextEncoder().encode(text)

const update = (payload: Uint8Array | null): [NewEvent, Uint8Array | null] => [
  {
    type: "UpdateStored",
    data: { n: 1, text: "é\u0000\"'%_" },
    payloadHash: payload === null ? "" : blake2b256(payload),
    checkpoint: false
  },
  payload
]

const snapshot = (snapshotId: string, parentSnapshotId = ""): [NewEvent, Uint8Array | null] => {
  const payload = bytes(`snapshot ${snapshotId}`)
  const data = {
    snapshotId,
    parentSnapshotId,
    ciphertextHash: hashOf(`ciphertext ${snapshotId}`),
    parentSnapshotProof: hashOf(`proof ${snapshotId}`),
    pubKey: "k".repeat(43),
    parentSnapshotUpdateClocks: {}
  }
  const event = { type: "SnapshotStored", data, payloadHash: blake2b256(payload), checkpoint: true }
  return [{ ...event, uniqueKey: snapshotId }, payload]
}

/** An event of no protocol that this project knows: a storage must not look at the type. */
const keyed = (uniqueKey: string): [NewEvent, null] => [
  { type: "Something", data: { n: 1 }, payloadHash: "", checkpoint: false, uniqueKey },
  null
]

/** The last chain value of the events chained under a fixed key below; computed once by another program. */
const FIXED_CHAIN = Hash.make("YWJIqGq3nujHnP5VvNcjUMNe7wvcJmsrrCi0eVoXiLM")

const evicted: [NewEvent, null] = [{ type: EVICTED, data: {}, payloadHash: "", checkpoint: true }, null]

const pruned = (before: number): [NewEvent, null] => [
  { type: PRUNED, data: { before }, payloadHash: "", checkpoint: false },
  null
]

/** Events placed after a head, as one append, and the head after them. */
interface After {
  readonly append: Append
  readonly head: StreamHead
}

const after = (
  key: StreamKey,
  head: StreamHead,
  events: NonEmptyReadonlyArray<[NewEvent, Uint8Array | null]>
): After => {
  let end = head
  const placed = events.map(([event, payload], i): PlacedEvent => {
    const at = place(key, end, event, "suite", 1_700_000_000_000 + end.version + i)
    end = advance(end, at)
    return { event: at, payload }
  })
  const [first, ...rest] = placed
  return { append: { key, expectedVersion: head.version, events: [first!, ...rest] }, head: end }
}

const appendAll = Effect.fnUntraced(function* (
  key: StreamKey,
  head: StreamHead,
  events: NonEmptyReadonlyArray<[NewEvent, Uint8Array | null]>
) {
  const log = yield* EventLog
  const { append, head: end } = after(key, head, events)
  assert.deepStrictEqual(yield* log.append([append]), [{ _tag: "Committed" }])
  return end
})

export const eventLogSuite = (name: string, storage: Layer.Layer<EventLog, unknown>): void =>
  layer(storage)(`EventLog (${name})`, (it) => {
    it.effect("returns events as they were appended, and the stream's head", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const key = randomKey()
        const { append, head } = after(key, emptyHead, [snapshot("a"), update(bytes("one")), update(null)])
        yield* log.append([append])
        assert.deepStrictEqual(yield* log.heads([key]), [head])
        assert.deepStrictEqual(yield* log.read(key, { after: 0 }), append.events)
      })
    )

    it.effect("returns events whose chain can be computed again, with the same value in every storage", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        // Chained under a fixed key and stored under a random one: a storage does not check chains.
        const chained: StreamKey = { libraryId: LibraryId.make("chain"), streamId: "chain" }
        const key = randomKey()
        const first = after(chained, emptyHead, [snapshot("a"), update(bytes("x"))])
        const second = after(chained, first.head, [evicted, snapshot("b", "a")])
        yield* log.append([{ ...first.append, key }])
        yield* log.append([{ ...second.append, key, purgeBefore: 3 }])
        let chain: Hash | "" = ""
        for (const { event } of yield* log.read(key, { after: 0 })) chain = chainOf(chained, chain, event)
        assert.strictEqual(chain, FIXED_CHAIN)
        assert.deepStrictEqual(yield* log.heads([key]), [{ version: 4, generation: 1, chain: FIXED_CHAIN }])
      })
    )

    it.effect("returns the empty head and no events of a stream that does not exist", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const [known, unknown] = [randomKey(), randomKey()]
        const head = yield* appendAll(known, emptyHead, [update(null)])
        assert.deepStrictEqual(yield* log.heads([unknown, known, unknown]), [emptyHead, head, emptyHead])
        assert.deepStrictEqual(yield* log.heads([]), [])
        assert.deepStrictEqual(yield* log.read(unknown, { after: 0 }), [])
        assert.deepStrictEqual(yield* log.tail(unknown), { before: "", head: emptyHead, events: [] })
      })
    )

    it.effect("reports a conflict for an append that expects another version, and commits the rest of the batch", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const keys = [randomKey(), randomKey(), randomKey(), randomKey()] as const
        const head = yield* appendAll(keys[1], emptyHead, [update(null), update(null)])
        const results = yield* log.append([
          after(keys[0], emptyHead, [update(bytes("0"))]).append,
          after(keys[1], emptyHead, [update(bytes("stale"))]).append,
          after(keys[2], { ...emptyHead, version: 3 }, [update(bytes("ahead"))]).append,
          after(keys[3], emptyHead, [update(bytes("3"))]).append
        ])
        assert.deepStrictEqual(results, [
          { _tag: "Committed" },
          { _tag: "Conflict", actualVersion: 2 },
          { _tag: "Conflict", actualVersion: 0 },
          { _tag: "Committed" }
        ])
        assert.deepStrictEqual(
          (yield* log.heads(keys)).map(({ version }) => version),
          [1, 2, 0, 1]
        )
        assert.deepStrictEqual((yield* log.heads([keys[1]]))[0], head)
      })
    )

    it.effect(
      "reports a conflict for an append to another history of the stream, and commits the rest of the batch",
      () =>
        Effect.gen(function* () {
          const log = yield* EventLog
          const [key, other] = [randomKey(), randomKey()]
          const head = yield* appendAll(key, emptyHead, [update(bytes("a"))])
          const next = after(key, head, [update(bytes("b"))]).append
          const fresh = after(other, emptyHead, [update(bytes("c"))]).append
          assert.deepStrictEqual(
            yield* log.append([
              { ...next, expectedChain: hashOf("another history") },
              { ...fresh, expectedChain: "" }
            ]),
            [{ _tag: "Conflict", actualVersion: 1 }, { _tag: "Committed" }]
          )
          assert.deepStrictEqual(yield* log.heads([key]), [head])
          assert.deepStrictEqual(yield* log.append([{ ...next, expectedChain: head.chain }]), [{ _tag: "Committed" }])
        })
    )

    it.effect("commits updates to streams that exist, and reports those whose stream is elsewhere", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const keys = [randomKey(), randomKey(), randomKey(), randomKey(), randomKey()] as const
        const heads = yield* Effect.forEach(keys, (key) => appendAll(key, emptyHead, [update(bytes("first"))]))
        const [current, stale, other, several] = heads.map((head, i) =>
          after(keys[i]!, head, [update(bytes(`${i}`)), update(null)])
        ) as [After, After, After, After]
        const moved = yield* appendAll(keys[1], heads[1]!, [update(bytes("moved"))])
        const missing = after(randomKey(), heads[4]!, [update(bytes("missing"))])
        const results = yield* log.append([
          current.append,
          stale.append,
          { ...other.append, expectedChain: hashOf("another history") },
          missing.append,
          { ...several.append, expectedChain: heads[3]!.chain }
        ])
        assert.deepStrictEqual(results, [
          { _tag: "Committed" },
          { _tag: "Conflict", actualVersion: 2 },
          { _tag: "Conflict", actualVersion: 1 },
          { _tag: "Conflict", actualVersion: 0 },
          { _tag: "Committed" }
        ])
        assert.deepStrictEqual(yield* log.heads(keys), [current.head, moved, heads[2]!, several.head, heads[4]!])
        assert.deepStrictEqual(yield* log.read(keys[0], { after: 1 }), current.append.events)
        assert.deepStrictEqual(yield* log.read(keys[3], { after: 1 }), several.append.events)
        assert.strictEqual((yield* log.read(keys[1], { after: 0 })).length, 2)
        assert.strictEqual((yield* log.read(missing.append.key, { after: 0 })).length, 0)
      })
    )

    it.effect("commits batches that name the same streams in different orders, each version once", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const keys = Array.from({ length: 20 }, randomKey)
        let heads = yield* Effect.forEach(keys, (key) => appendAll(key, emptyHead, [update(bytes("first"))]))
        for (let round = 0; round < 10; round++) {
          const appends = keys.map((key, i) => after(key, heads[i]!, [update(bytes(`${round}`))]))
          const batches = Array.from({ length: 8 }, (_, n) => {
            const [first, ...rest] = [...appends.slice(n), ...appends.slice(0, n)].map(({ append }) => append)
            const batch: NonEmptyReadonlyArray<Append> = [first!, ...(n % 2 === 0 ? rest : rest.toReversed())]
            return batch
          })
          const results = yield* Effect.forEach(batches, (batch) => log.append(batch), {
            concurrency: "unbounded"
          })
          const committed = results.flat().filter(({ _tag }) => _tag === "Committed")
          assert.strictEqual(committed.length, keys.length)
          heads = appends.map(({ head }) => head)
        }
        assert.deepStrictEqual(yield* log.heads(keys), heads)
      })
    )

    it.effect("stores large batches and many events of one stream", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const libraryId = randomLibrary()
        const keys = Array.from({ length: 300 }, (_, i) => ({ libraryId, streamId: `s${i}` }))
        const events: NonEmptyReadonlyArray<[NewEvent, Uint8Array]> = [
          [...update(bytes("first"))] as [NewEvent, Uint8Array],
          ...Array.from({ length: 4 }, (_, i) => update(bytes(`${i}`)) as [NewEvent, Uint8Array])
        ]
        const [first, ...rest] = keys.map((key) => after(key, emptyHead, events).append)
        const results = yield* log.append([first!, ...rest])
        assert.isTrue(results.every(({ _tag }) => _tag === "Committed"))
        assert.isTrue((yield* log.heads(keys)).every(({ version }) => version === 5))
        assert.deepStrictEqual(yield* log.read(keys[299]!, { after: 0 }), rest[298]!.events)
      })
    )

    it.effect("commits exactly one of many appends for the same version", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const key = randomKey()
        const attempts = Array.from({ length: 20 }, (_, i) => after(key, emptyHead, [update(bytes(`${i}`))]).append)
        const results = yield* Effect.forEach(attempts, (append) => log.append([append]), { concurrency: "unbounded" })
        assert.strictEqual(results.flat().filter(({ _tag }) => _tag === "Committed").length, 1)
        assert.strictEqual((yield* log.read(key, { after: 0 })).length, 1)
      })
    )

    it.effect("runs a turn that reads and appends without a conflict, however fast others append", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const key = randomKey()
        yield* appendAll(key, emptyHead, [update(bytes("first"))])
        let isOver = false
        const others = Effect.gen(function* () {
          while (!isOver) {
            const [head] = yield* log.heads([key])
            yield* log.append([after(key, head!, [update(bytes("others"))]).append])
            yield* Effect.yieldNow
          }
        })
        const turn = Effect.gen(function* () {
          const { head } = yield* log.tail(key)
          return yield* log.append([after(key, head, [update(bytes("mine"))]).append])
        })
        yield* Effect.forkChild(others)
        for (let i = 0; i < 20; i++) {
          assert.deepStrictEqual(yield* log.exclusively(key, turn), [{ _tag: "Committed" }])
        }
        isOver = true
        const unknown = randomKey()
        assert.deepStrictEqual(yield* log.exclusively(unknown, log.heads([unknown])), [emptyHead])
      })
    )

    it.effect("stores nothing of a turn that failed", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const key = randomKey()
        const head = yield* appendAll(key, emptyHead, [update(bytes("first"))])
        const failure = new StorageUnavailable({ operation: "fail", cause: new Error("on purpose") })
        const failed = yield* Effect.flip(
          log.exclusively(
            key,
            Effect.andThen(log.append([after(key, head, [update(bytes("second"))]).append]), Effect.fail(failure))
          )
        )
        assert.strictEqual(failed, failure)
        assert.deepStrictEqual(yield* log.heads([key]), [head])
      })
    )

    it.effect("reads in pages, with or without payloads", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const key = randomKey()
        yield* appendAll(key, emptyHead, [update(bytes("1")), update(bytes("2")), update(bytes("3"))])
        const versions = (events: ReadonlyArray<PlacedEvent>) => events.map(({ event }) => event.version)
        assert.deepStrictEqual(versions(yield* log.read(key, { after: 0, limit: 2 })), [1, 2])
        assert.deepStrictEqual(versions(yield* log.read(key, { after: 2, limit: 2 })), [3])
        assert.deepStrictEqual(versions(yield* log.read(key, { after: 3 })), [])
        const bare = yield* log.read(key, { after: 0, payloads: false })
        assert.isTrue(bare.every(({ payload }) => payload === null))
        assert.strictEqual(bare[0]?.event.payloadHash, blake2b256(bytes("1")))
      })
    )

    it.effect("leaves an update packed for a reader that asks for it, or returns its payload", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const key = randomKey()
        const common = { docId: key.streamId, refSnapshotId: "a" }
        const author = makeAuthor()
        const sizes = [1, 1000, 100_000]
        const updates = sizes.map((ciphertext, clock): [NewEvent, Uint8Array] => {
          const message = updateMessage(author, { ...common, clock, ciphertext })
          const payload = bytes(canonicalJson(message))
          const data = { clock, pubKey: author.pubKey, refSnapshotId: common.refSnapshotId }
          return [{ type: "UpdateStored", data, payloadHash: blake2b256(payload), checkpoint: false }, payload]
        })
        yield* appendAll(key, emptyHead, [snapshot("a"), ...updates, update(bytes("other")), update(null)])
        const whole = yield* log.read(key, { after: 0 })
        const left = yield* log.read(key, { after: 0, leavePacked: true })
        assert.deepStrictEqual(
          left.map(
            ({ event, packed, payload }): PlacedEvent => ({
              event,
              payload: packed === undefined ? payload : new Uint8Array(payloadOf(packed))
            })
          ),
          [...whole]
        )
        assert.isTrue(left.every(({ packed, payload }) => packed === undefined || payload === null))
        const [large] = yield* log.read(key, { after: 3, maxBytes: 1 })
        assert.strictEqual(blake2b256(large!.payload!), updates[2]![0].payloadHash)
      })
    )

    it.effect("reads events whose payloads fit a size together, and at least one event", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const key = randomKey()
        const events = [update(bytes("22")), update(null), update(bytes("333")), update(bytes("1")), update(bytes(""))]
        yield* appendAll(key, emptyHead, [snapshot("a"), ...events])
        const read = Effect.fnUntraced(function* (after: number, maxBytes: number, limit?: number) {
          const page = yield* log.read(key, { after, maxBytes, ...(limit === undefined ? {} : { limit }) })
          assert.isTrue(page.every(({ event, payload }) => (payload === null) === (event.payloadHash === "")))
          return page.map(({ event }) => event.version)
        })
        assert.deepStrictEqual(yield* read(0, 1), [1])
        assert.deepStrictEqual(yield* read(1, 2), [2, 3])
        assert.deepStrictEqual(yield* read(1, 5), [2, 3, 4])
        assert.deepStrictEqual(yield* read(1, 6), [2, 3, 4, 5, 6])
        assert.deepStrictEqual(yield* read(1, 1000, 2), [2, 3])
        assert.deepStrictEqual(yield* read(6, 1), [])
        assert.lengthOf(yield* log.read(key, { after: 0, maxBytes: 1, payloads: false }), 6)
      })
    )

    it.effect("returns payloads byte for byte, each in memory of its own", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const key = randomKey()
        const every = Uint8Array.from({ length: 256 }, (_, i) => i)
        const large = new Uint8Array(1024 * 1024).fill(7)
        yield* appendAll(key, emptyHead, [update(every), update(new Uint8Array(0)), update(large)])
        const stored = yield* log.read(key, { after: 0 })
        for (const [i, expected] of [every, new Uint8Array(0), large].entries()) {
          const payload = stored[i]?.payload
          assert.isTrue(payload !== undefined && payload !== null && Buffer.compare(payload, expected) === 0)
          assert.strictEqual(payload?.buffer.byteLength, expected.length)
        }
      })
    )

    it.effect("reads a stream's tail from its newest checkpoint on", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const key = randomKey()
        const first = yield* appendAll(key, emptyHead, [update(bytes("before"))])
        const whole = yield* log.tail(key)
        assert.deepStrictEqual(
          whole.events.map(({ event }) => event.version),
          [1]
        )
        assert.strictEqual(whole.before, "")
        const { append, head } = after(key, first, [
          snapshot("a"),
          update(bytes("1")),
          snapshot("b", "a"),
          update(bytes("2")),
          update(bytes("3"))
        ])
        yield* log.append([append])
        const before = append.events[1]!.event.chain
        assert.deepStrictEqual(yield* log.tail(key), { before, head, events: append.events.slice(2) })
        const bare = yield* log.tail(key, { payloads: false })
        assert.deepStrictEqual(
          bare.events.map(({ event }) => event),
          append.events.slice(2).map(({ event }) => event)
        )
        assert.isTrue(bare.events.every(({ payload }) => payload === null))
      })
    )

    it.effect("reads a stream's tail at one moment while it is written to", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const key = randomKey()
        const write = Effect.gen(function* () {
          let head = emptyHead
          for (let i = 0; i < 20; i++) {
            head = yield* appendAll(key, head, [i % 3 === 0 ? snapshot(`s${i}`) : update(bytes(`${i}`))])
            yield* Effect.yieldNow
          }
        })
        const look = Effect.gen(function* () {
          let seen = 0
          while (seen < 20) {
            const { head, events } = yield* log.tail(key)
            assert.strictEqual(events.at(-1)?.event.version ?? 0, head.version)
            assert.strictEqual(events.at(-1)?.event.chain ?? "", head.chain)
            assert.strictEqual(events.filter(({ event }) => event.checkpoint).length, head.version === 0 ? 0 : 1)
            assert.isAtLeast(head.version, seen)
            seen = head.version
            yield* Effect.yieldNow
          }
        })
        yield* Effect.all([write, look, look], { concurrency: "unbounded" })
      })
    )

    it.effect("stores ids byte for byte, and orders them by their bytes", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const libraryId = LibraryId.make(`été-日本-😀-%_'"\\-${crypto.randomUUID()}`)
        const names = ["%", "_", "'", '"', "\\", "1", "null", "[0]", "été", "日本", "😀", "@library", "a.b~c:d-e"]
        const keys = names.map((streamId): StreamKey => ({ libraryId, streamId }))
        const [first, ...rest] = keys.map((key) => after(key, emptyHead, [update(bytes(key.streamId))]))
        yield* log.append([first!.append, ...rest.map(({ append }) => append)])
        assert.deepStrictEqual(
          yield* log.heads(keys),
          [first!, ...rest].map(({ head }) => head)
        )
        for (const key of keys) {
          assert.deepStrictEqual(
            (yield* log.tail(key)).events.map(({ payload }) => payload),
            [bytes(key.streamId)]
          )
        }
        const byBytes = [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
        assert.deepStrictEqual(
          (yield* log.streams({ libraryId, limit: 100 })).map(({ key }) => key.streamId),
          byBytes
        )
      })
    )

    it.effect("purges the payloads before an eviction in the same transaction, and nothing else", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const [key, other] = [randomKey(), randomKey()]
        const head = yield* appendAll(key, emptyHead, [snapshot("a"), update(bytes("gone"))])
        yield* appendAll(other, emptyHead, [update(bytes("stays"))])
        const stale = after(key, emptyHead, [evicted])
        assert.deepStrictEqual((yield* log.append([{ ...stale.append, purgeBefore: 1 }]))[0]?._tag, "Conflict")
        assert.isNotNull((yield* log.read(key, { after: 0 }))[1]?.payload)

        const eviction = after(key, head, [evicted])
        yield* log.append([{ ...eviction.append, purgeBefore: eviction.head.version }])
        yield* appendAll(key, eviction.head, [snapshot("b", "a")])
        const stored = yield* log.read(key, { after: 0 })
        assert.deepStrictEqual(
          stored.map(({ payload }) => payload !== null),
          [false, false, false, true]
        )
        assert.strictEqual(stored[1]?.event.payloadHash, blake2b256(bytes("gone")))
        assert.deepStrictEqual(
          stored.map(({ event }) => event.generation),
          [0, 0, 0, 1]
        )
        assert.isNotNull((yield* log.read(other, { after: 0 }))[0]?.payload)
      })
    )

    it.effect("purges superseded payloads, and measures them beforehand", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const [key, other] = [randomKey(), randomKey()]
        const head = yield* appendAll(key, emptyHead, [
          update(bytes("one")),
          update(null),
          update(bytes("three")),
          snapshot("a")
        ])
        yield* appendAll(other, emptyHead, [update(bytes("stays"))])
        assert.deepStrictEqual(yield* log.held(key, 1), { payloads: 0, payloadBytes: 0 })
        assert.deepStrictEqual(yield* log.held(key, 4), { payloads: 2, payloadBytes: 8 })
        const first = after(key, head, [pruned(3)])
        yield* log.append([{ ...first.append, purgeBefore: 3 }])
        assert.deepStrictEqual(yield* log.held(key, 4), { payloads: 1, payloadBytes: 5 })
        // The writer knows that the events before version 3 have no payload any more.
        yield* log.append([{ ...after(key, first.head, [pruned(4)]).append, purgeBefore: 4, purgeFrom: 3 }])
        assert.deepStrictEqual(yield* log.held(key, 4), { payloads: 0, payloadBytes: 0 })
        assert.deepStrictEqual(
          (yield* log.read(key, { after: 0 })).map(({ payload }) => payload !== null),
          [false, false, false, true, false, false]
        )
        assert.isNotNull((yield* log.read(other, { after: 0 }))[0]?.payload)
      })
    )

    it.effect("purges many payloads of different sizes", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const key = randomKey()
        const sizes = [0, 3, ...Array.from({ length: 700 }, (_, i) => (i % 50 === 0 ? 100 * 1024 : 20))]
        const payloads = sizes.map((size) => (size === 0 ? null : new Uint8Array(size)))
        const head = yield* appendAll(key, emptyHead, [update(new Uint8Array(600 * 1024)), ...payloads.map(update)])
        const before = sizes.length
        yield* log.append([{ ...after(key, head, [pruned(before)]).append, purgeBefore: before }])
        const left = (yield* log.read(key, { after: 0 })).flatMap(({ event, payload }) =>
          payload === null ? [] : event.version
        )
        assert.deepStrictEqual(left, [before, before + 1])
      })
    )

    it.effect("reads the events that follow a unique key, also when their payloads are gone", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const [key, other] = [randomKey(), randomKey()]
        const first = after(key, emptyHead, [snapshot("a"), update(null), snapshot("b", "a")])
        yield* log.append([first.append])
        yield* appendAll(other, emptyHead, [snapshot("a"), snapshot("z", "a")])
        const eviction = after(key, first.head, [evicted, snapshot("c", "b"), keyed("d")])
        yield* log.append([{ ...eviction.append, purgeBefore: eviction.head.version }])
        const events = [...first.append.events, ...eviction.append.events].map(({ event }) => event)
        assert.deepStrictEqual<unknown>(yield* log.readKeyed(key, "a"), [events[2], events[4], events[5]])
        assert.deepStrictEqual<unknown>(yield* log.readKeyed(key, "c"), [events[5]])
        assert.deepStrictEqual(yield* log.readKeyed(key, "d"), [])
        assert.isUndefined(yield* log.readKeyed(key, "z"))
      })
    )

    it.effect(
      "stores a unique key once in each stream, and reports a second use as such, whatever the event's type",
      () =>
        Effect.gen(function* () {
          const log = yield* EventLog
          const [key, other] = [randomKey(), randomKey()]
          const head = yield* appendAll(key, emptyHead, [snapshot("a"), keyed("b")])
          const results = yield* log.append([
            after(key, head, [update(null), snapshot("b", "a")]).append,
            after(other, emptyHead, [keyed("a")]).append
          ])
          assert.deepStrictEqual(results, [{ _tag: "UniqueKeyTaken" }, { _tag: "Committed" }])
          assert.deepStrictEqual(yield* log.append([after(key, head, [keyed("a")]).append]), [
            { _tag: "UniqueKeyTaken" }
          ])
          const twice = after(randomKey(), emptyHead, [snapshot("c"), keyed("c")])
          assert.deepStrictEqual(yield* log.append([twice.append]), [{ _tag: "UniqueKeyTaken" }])
          const twiceMore = after(key, head, [keyed("c"), keyed("c")])
          assert.deepStrictEqual(yield* log.append([twiceMore.append]), [{ _tag: "UniqueKeyTaken" }])
          assert.deepStrictEqual(yield* log.heads([key, twice.append.key]), [head, emptyHead])
        })
    )

    it.effect("reports a version conflict before a unique key that is taken", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const key = randomKey()
        yield* appendAll(key, emptyHead, [snapshot("a"), update(null)])
        const stale = after(key, emptyHead, [snapshot("a")])
        assert.deepStrictEqual(yield* log.append([stale.append]), [{ _tag: "Conflict", actualVersion: 2 }])
      })
    )

    it.effect("takes an event without a unique key for one that has none, whatever its type and data", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const key = randomKey()
        const [{ uniqueKey: _, ...unkeyed }, payload] = snapshot("a")
        const { append } = after(key, emptyHead, [
          [unkeyed, payload],
          [unkeyed, payload]
        ])
        assert.deepStrictEqual(yield* log.append([append]), [{ _tag: "Committed" }])
        assert.isUndefined(yield* log.readKeyed(key, "a"))
        assert.deepStrictEqual(yield* log.read(key, { after: 0 }), append.events)
      })
    )

    it.effect("dies of an append whose events have a version that the stream holds, and stores nothing", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const key = randomKey()
        const head = yield* appendAll(key, emptyHead, [update(null)])
        // Only a fault of the caller can place an event before the version that its append expects.
        const { append } = after(key, emptyHead, [update(bytes("misplaced"))])
        const exit = yield* Effect.exit(log.append([{ ...append, expectedVersion: 1 }]))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause) && !Cause.hasFails(exit.cause))
        assert.deepStrictEqual(yield* log.heads([key]), [head])
        assert.lengthOf(yield* log.read(key, { after: 0 }), 1)
      })
    )

    it.effect("lists streams and libraries in pages, with their sizes", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        // "~" sorts after the libraries of the other tests, so the listing can start right before these.
        const prefix = `~${crypto.randomUUID()}`
        const ids = ["a", "b%", "b_", "bé", "c'\""].map((id) => LibraryId.make(`${prefix}${id}`))
        for (const libraryId of ids) {
          for (const streamId of ["1", "2", "3"]) {
            yield* appendAll({ libraryId, streamId }, emptyHead, [update(bytes("12345")), update(null)])
          }
        }
        const page = yield* log.streams({ libraryId: ids[1]!, limit: 2 })
        assert.deepStrictEqual(
          page.map(({ key, version, payloads, payloadBytes }) => [key.streamId, version, payloads, payloadBytes]),
          [
            ["1", 2, 1, 5],
            ["2", 2, 1, 5]
          ]
        )
        assert.strictEqual(page[0]?.checkpoint, 0)
        const key = randomKey()
        yield* appendAll(key, emptyHead, [update(null), snapshot("a"), update(null)])
        assert.strictEqual((yield* log.streams({ ...key, limit: 1 }))[0]?.checkpoint, 2)
        assert.strictEqual(page[0]?.tailBytes, 5)
        const superseded = randomKey()
        const before = [snapshot("a"), update(bytes("12345"))] as const
        yield* appendAll(superseded, emptyHead, [...before, snapshot("b"), update(bytes("123")), update(null)])
        const [counted] = yield* log.streams({ ...superseded, limit: 1 })
        assert.deepInclude(counted, { checkpoint: 3, ended: false, payloads: 4, payloadBytes: 28, tailBytes: 13 })
        const eviction = after(randomKey(), emptyHead, [snapshot("a"), evicted])
        yield* log.append([eviction.append])
        const ofEvicted = log.streams({ ...eviction.append.key, limit: 1 })
        assert.deepInclude((yield* ofEvicted)[0], { generation: 1, ended: true })
        yield* appendAll(eviction.append.key, eviction.head, [update(null)])
        assert.deepInclude((yield* ofEvicted)[0], { generation: 1, ended: false })
        assert.strictEqual(page[0]?.createdAt, 1_700_000_000_000)
        assert.isAbove(page[0]?.updatedAt ?? 0, 1_700_000_000_000)
        const rest = yield* log.streams({ libraryId: ids[1]!, after: page[1]!.key, limit: 2 })
        assert.deepStrictEqual(
          rest.map(({ key }) => key.streamId),
          ["3"]
        )
        const [named, ...others] = yield* log.streams({ libraryId: ids[1]!, streamId: "2", limit: 2 })
        assert.strictEqual(named?.key.streamId, "2")
        assert.deepStrictEqual(others, [])
        const uncounted = yield* log.streams({ libraryId: ids[1]!, streamId: "2", limit: 2, payloads: false })
        assert.deepStrictEqual(uncounted, [{ ...named!, payloads: 0, payloadBytes: 0, tailBytes: 0 }])
        const across = yield* log.streams({ after: { libraryId: ids[0]!, streamId: "3" }, limit: 3 })
        assert.deepStrictEqual(
          across.map(({ key }) => key),
          ["1", "2", "3"].map((streamId) => ({ libraryId: ids[1]!, streamId }))
        )
        assert.strictEqual(yield* log.countStreams(ids[1]!), 3)
        assert.strictEqual(yield* log.countStreams(randomKey().libraryId), 0)
        assert.deepStrictEqual(yield* log.use(ids[1]!), { events: 6, payloadBytes: 15 })
        assert.deepStrictEqual(yield* log.use(randomKey().libraryId), { events: 0, payloadBytes: 0 })
        const libraries = yield* log.libraries({ after: LibraryId.make(prefix), limit: 4 })
        assert.deepStrictEqual(
          libraries.map(({ libraryId, streams, events, payloadBytes }) => [libraryId, streams, events, payloadBytes]),
          ids.slice(0, 4).map((id) => [id, 3, 6, 15])
        )
        const last = yield* log.libraries({ after: ids[3]!, limit: 4 })
        assert.strictEqual(last[0]?.libraryId, ids[4])
      })
    )
  })
