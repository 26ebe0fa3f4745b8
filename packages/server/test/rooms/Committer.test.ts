/** The committer among rooms and storages that throw. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Layer } from "effect"
import { isArrayNonEmpty } from "effect/Array"
import { TestClock } from "effect/testing"
import { makeTroubledLog } from "#test-support/storage/TroubledLog"
import { LibraryId } from "../../src/domain/Ids.ts"
import { emptyHead, type NewEvent, place } from "../../src/domain/Stream.ts"
import { type Append, type Appended, EventLog, LogDamaged, StorageUnavailable } from "../../src/ports/EventLog.ts"
import { Committer } from "../../src/rooms/Committer.ts"

const event: NewEvent = { type: "Stored", data: {}, payloadHash: "", checkpoint: false }

const appendTo = (streamId: string): Append => {
  const key = { libraryId: LibraryId.make("library"), streamId }
  return { key, expectedVersion: 0, events: [{ event: place(key, emptyHead, event, "a", 0), payload: null }] }
}

const commit = (committer: Committer["Service"], streamId: string) =>
  Effect.callback<Exit.Exit<Appended, StorageUnavailable>>((resume) =>
    committer.submit(
      () => appendTo(streamId),
      (exit) => resume(Effect.succeed(exit))
    )
  )

const fail = (): never => {
  throw new Error("made to fail")
}

const withCommitter = <A, E>(
  change: (log: EventLog["Service"]) => EventLog["Service"],
  use: (committer: Committer["Service"]) => Effect.Effect<A, E>
) =>
  Effect.gen(function* () {
    const { log } = yield* makeTroubledLog
    const layer = Committer.layer.pipe(Layer.provide(Layer.succeed(EventLog, change(log))))
    return yield* Effect.flatMap(Committer, use).pipe(Effect.provide(layer))
  })

it.effect("a room that throws when its append is taken is told so, and the other rooms commit", () =>
  withCommitter(
    (log) => log,
    (committer) =>
      Effect.gen(function* () {
        let told: Exit.Exit<Appended, StorageUnavailable> | undefined
        committer.submit(fail, (exit) => {
          told = exit
        })
        assert.isTrue(Exit.isSuccess(yield* commit(committer, "one")))
        assert.isTrue(told !== undefined && Exit.hasDies(told))
        assert.isTrue(Exit.isSuccess(yield* commit(committer, "two")))
      })
  )
)

it.effect(
  "a room that throws when its commit ends does not keep the others of that commit, or later ones, waiting",
  () =>
    withCommitter(
      (log) => log,
      (committer) =>
        Effect.gen(function* () {
          committer.submit(() => appendTo("faulty"), fail)
          assert.isTrue(Exit.isSuccess(yield* commit(committer, "same commit")))
          assert.isTrue(Exit.isSuccess(yield* commit(committer, "later")))
        })
    )
)

it.effect("a storage that throws fails its commit, and the next one is tried", () => {
  let isFaulty = true
  return withCommitter(
    (log) => EventLog.of({ ...log, append: (batch) => (isFaulty ? fail() : log.append(batch)) }),
    (committer) =>
      Effect.gen(function* () {
        assert.isTrue(Exit.hasDies(yield* commit(committer, "one")))
        assert.isTrue(committer.failing())
        isFaulty = false
        assert.isTrue(Exit.isSuccess(yield* commit(committer, "one")))
        assert.isFalse(committer.failing())
      })
  )
})

it.effect("appends that rooms queue at once are one commit, the first of them too", () => {
  const batches: Array<ReadonlyArray<string>> = []
  return withCommitter(
    (log) =>
      EventLog.of({
        ...log,
        append: (batch) => {
          batches.push(batch.map(({ key }) => key.streamId))
          return log.append(batch)
        }
      }),
    (committer) =>
      Effect.gen(function* () {
        // By then the committer waits for its first append.
        yield* nextTurn
        const names = ["one", "two", "three"]
        yield* Effect.forEach(names, (name) => commit(committer, name), { concurrency: "unbounded" })
        assert.deepStrictEqual(batches, [names])
      })
  )
})

it.effect("tells since when a commit has been under way", () => {
  const ends = Latch.makeUnsafe()
  return withCommitter(
    (log) => EventLog.of({ ...log, append: (batch) => Effect.andThen(ends.await, log.append(batch)) }),
    (committer) =>
      Effect.gen(function* () {
        assert.isUndefined(committer.committingSince())
        yield* TestClock.adjust("5 seconds")
        committer.submit(() => appendTo("one"), fail)
        while (committer.committingSince() === undefined) yield* nextTurn
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(committer.committingSince(), 5000)
        yield* ends.open
        assert.isTrue(Exit.isSuccess(yield* commit(committer, "two")))
        assert.isUndefined(committer.committingSince())
      })
  )
})

/** The log, on which another writer holds the stream "held" for as long as `isHeld` says. */
const heldWhile = (isHeld: () => boolean) => (log: EventLog["Service"]) =>
  EventLog.of({
    ...log,
    append: (batch, options) =>
      isHeld() && options?.leaveHeld === true && batch.some(({ key }) => key.streamId === "held")
        ? Effect.map(leave(log, batch), (rest) => batch.map(({ key }) => rest.get(key) ?? { _tag: "Held" as const }))
        : log.append(batch)
  })

const leave = (log: EventLog["Service"], batch: ReadonlyArray<Append>) =>
  Effect.gen(function* () {
    const free = batch.filter(({ key }) => key.streamId !== "held")
    const results = isArrayNonEmpty(free) ? yield* log.append(free) : []
    return new Map(free.map(({ key }, i) => [key, results[i]!]))
  })

it.effect("an append to a stream that another writer holds waits alone", () => {
  let isHeld = true
  return withCommitter(
    heldWhile(() => isHeld),
    (committer) =>
      Effect.gen(function* () {
        const held = yield* Effect.forkChild(commit(committer, "held"))
        for (const name of ["one", "two", "three"]) assert.isTrue(Exit.isSuccess(yield* commit(committer, name)))
        assert.isUndefined(held.pollUnsafe())
        isHeld = false
        yield* TestClock.adjust("20 millis")
        assert.isTrue(Exit.isSuccess(yield* Fiber.join(held)))
      })
  )
})

it.effect("an append to a stream that another writer holds for 8 seconds fails, and names the stream", () =>
  withCommitter(
    heldWhile(() => true),
    (committer) =>
      Effect.gen(function* () {
        const held = yield* Effect.forkChild(commit(committer, "held"))
        while (held.pollUnsafe() === undefined) {
          yield* TestClock.adjust("20 millis")
          yield* nextTurn
        }
        const exit = yield* Fiber.join(held)
        assert.include(String(exit), "another writer holds the stream held of library for more than 8 seconds")
        assert.isTrue(Exit.isSuccess(yield* commit(committer, "other")))
      })
  )
)

const nextTurn = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))

it.effect("an append to a part of the storage that is away fails alone", () => {
  const failure = new StorageUnavailable({ operation: "append", cause: new Error("the node is away") })
  return withCommitter(
    (log) => ({
      ...log,
      append: (batch, options) =>
        Effect.map(log.append(batch, options), (results) =>
          results.map((result, i) => (batch[i]!.key.streamId === "away" ? { _tag: "Unreachable", failure } : result))
        )
    }),
    (committer) =>
      Effect.gen(function* () {
        const [away, other] = yield* Effect.all([commit(committer, "away"), commit(committer, "other")], {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(away, Exit.fail(failure))
        assert.deepStrictEqual(other, Exit.succeed({ _tag: "Committed" }))
      })
  )
})

it.effect("streams that a damaged page concerns fail, and the others of their transaction commit", () =>
  withCommitter(
    (log) => ({
      ...log,
      append: (batch, options) =>
        batch.some(({ key }) => key.streamId.startsWith("damaged"))
          ? Effect.die(new LogDamaged({ detail: "database disk image is malformed" }))
          : log.append(batch, options)
    }),
    (committer) =>
      Effect.gen(function* () {
        const names = ["a", "damaged 1", "b", "c", "damaged 2", "d"]
        const exits = yield* Effect.forEach(names, (name) => commit(committer, name), { concurrency: "unbounded" })
        assert.deepStrictEqual(
          names.filter((_, i) => Exit.isSuccess(exits[i]!)),
          ["a", "b", "c", "d"]
        )
        assert.isTrue(exits.every((exit) => Exit.isSuccess(exit) || Exit.hasDies(exit)))
        assert.isFalse(committer.failing())
      })
  )
)
