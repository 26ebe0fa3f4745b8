/** A tail that the cache extends in memory equals the tail that the log returns. */
import { assert, it } from "@effect/vitest"
import { layerMemory } from "@sealog/server/adapters/MemoryEventLog"
import { DocumentId, Hash, LibraryId } from "@sealog/server/domain/Ids"
import { advance, emptyHead, type NewEvent, place } from "@sealog/server/domain/Stream"
import { EventLog } from "@sealog/server/ports/EventLog"
import { Effect } from "effect"
import fc from "fast-check"
import { makeTailCache } from "../../src/rooms/TailCache.ts"

const key = { libraryId: LibraryId.make("library"), streamId: DocumentId.make("document") }
const payloadHash = Hash.make("x".repeat(43))

type Step = "update" | "snapshot" | "evict" | "prune" | "get"
const steps = fc.array(fc.constantFrom<Step>("update", "update", "update", "snapshot", "evict", "prune", "get"), {
  minLength: 1,
  maxLength: 60
})

const eventOf = (step: Step, number: number): NewEvent => {
  switch (step) {
    case "snapshot":
      return { type: "SnapshotStored", data: { snapshotId: `s${number}` }, payloadHash, checkpoint: true }
    case "evict":
      return { type: "Evicted", data: {}, payloadHash: "", checkpoint: true }
    case "prune":
      return { type: "Pruned", data: { before: 1 }, payloadHash: "", checkpoint: false }
    default:
      return { type: "UpdateStored", data: { number }, payloadHash, checkpoint: false }
  }
}

const run = (steps: ReadonlyArray<Step>) =>
  Effect.gen(function* () {
    const log = yield* EventLog
    const tails = yield* makeTailCache(log)
    let head = emptyHead
    let checkpoint = 0
    for (const [number, step] of [...steps, "get" as const].entries()) {
      if (step === "get") {
        const { events, head: end } = yield* tails.get(key, head.version)
        const { before: _, ...tail } = yield* log.tail(key)
        assert.deepStrictEqual({ events, head: end }, tail)
        continue
      }
      const event = place(key, head, eventOf(step, number), "test", number)
      const payload = event.payloadHash === "" ? null : Buffer.from(`payload ${number}`)
      if (event.checkpoint) checkpoint = event.version
      yield* log.append([
        {
          key,
          expectedVersion: head.version,
          events: [{ event, payload }],
          ...(step === "evict" || step === "prune" ? { purgeBefore: checkpoint } : {})
        }
      ])
      head = advance(head, event)
    }
  }).pipe(Effect.scoped, Effect.provide(layerMemory, { local: true }))

it("the cache returns the log's tail after any sequence of appends, evictions and prunings", () =>
  fc.assert(
    fc.asyncProperty(steps, (steps) => Effect.runPromise(run(steps))),
    { numRuns: 200 }
  ))

it("the cache returns the log's tail when more events were appended than one read returns", () =>
  Effect.runPromise(run(["snapshot", "get", ...Array.from({ length: 1500 }, () => "update" as const)])))

it("a room that opens after a restore is not given the tail of before", () =>
  Effect.runPromise(
    Effect.gen(function* () {
      const log = yield* EventLog
      const [before, after] = [1, 2].map((number) => place(key, emptyHead, eventOf("snapshot", number), "test", 0))
      yield* log.append([{ key, expectedVersion: 0, events: [{ event: after!, payload: Buffer.from("after") }] }])
      let isRestored = false
      const tailOf = (payload: Buffer, event = before!) => ({
        before: "" as const,
        head: advance(emptyHead, event),
        events: [{ event, payload }]
      })
      const tails = yield* makeTailCache({
        ...log,
        tail: (key, options) => (isRestored ? log.tail(key, options) : Effect.succeed(tailOf(Buffer.from("before"))))
      })
      assert.deepStrictEqual((yield* tails.open(key)).events[0]?.event, before)
      assert.deepStrictEqual((yield* tails.get(key, 1)).events[0]?.event, before)
      isRestored = true
      assert.deepStrictEqual((yield* tails.open(key)).events[0]?.event, after)
      assert.deepStrictEqual(yield* tails.get(key, 1), yield* log.tail(key))
    }).pipe(Effect.scoped, Effect.provide(layerMemory, { local: true }))
  ))

it("the cache reads once for a thousand sessions that join at the same time, and for later ones", () =>
  Effect.runPromise(
    Effect.gen(function* () {
      const log = yield* EventLog
      const event = place(key, emptyHead, eventOf("snapshot", 0), "test", 0)
      yield* log.append([{ key, expectedVersion: 0, events: [{ event, payload: Buffer.from("payload") }] }])
      let reads = 0
      const counted = <A extends ReadonlyArray<unknown>, B>(read: (...args: A) => B) => {
        return (...args: A): B => {
          reads += 1
          return read(...args)
        }
      }
      const tails = yield* makeTailCache({ ...log, read: counted(log.read), tail: counted(log.tail) })
      const wanted = Array.from({ length: 1000 }, () => tails.get(key, 1))
      const got = yield* Effect.all(wanted, { concurrency: "unbounded" })
      assert.strictEqual(new Set([...got, yield* tails.get(key, 1)]).size, 1)
      assert.strictEqual(reads, 1)
    }).pipe(Effect.scoped, Effect.provide(layerMemory, { local: true }))
  ))
