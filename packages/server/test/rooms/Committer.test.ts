/** The committer among rooms and storages that throw. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Latch, Layer } from "effect"
import { TestClock } from "effect/testing"
import { makeTroubledLog } from "#test-support/storage/TroubledLog"
import { LibraryId } from "../../src/domain/Ids.ts"
import { emptyHead, type NewEvent, place } from "../../src/domain/Stream.ts"
import { type Append, type Appended, EventLog, type StorageUnavailable } from "../../src/ports/EventLog.ts"
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

const nextTurn = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
