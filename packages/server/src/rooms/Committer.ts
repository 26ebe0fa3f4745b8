/**
 * Group commit for all rooms of this process. While one transaction becomes durable, appends queue for the next one: a
 * document is not limited to one update per fsync, and a thousand documents share an fsync.
 *
 * A room submits a promise of an append, not the append. The committer takes the append when its transaction begins, so
 * that it holds every event that the room decided until then.
 */
import { Cause, Clock, Context, Effect, Exit, Latch, Layer } from "effect"
import { isArrayNonEmpty, type NonEmptyReadonlyArray } from "effect/Array"
import type { StreamKey } from "../domain/Stream.ts"
import { monotonicMillis } from "../internal/monotonicMillis.ts"
import { EventLoop, nextTurn } from "../internal/nextTurn.ts"
import * as Metrics from "../metrics/Metrics.ts"
import { type Append, type Appended, EventLog, StorageUnavailable } from "../ports/EventLog.ts"

/** Limits of one transaction, so that no append waits long for the others in it. */
const MAX_APPENDS = 1000
const MAX_BYTES = 32 * 1024 * 1024

/** The longest time that a commit waits for further appends, as a part of the time that the last commit took. */
const PATIENCE = 0.5

/** The time after which an append to a stream that another writer holds is tried again, and after which it fails, milliseconds. */
const HELD_AGAIN_MILLIS = 20
const HELD_MILLIS = 8000

/** A commit that takes longer has a line in the log, milliseconds. */
const SLOW_MILLIS = 1000

interface Waiting {
  readonly take: () => Append | undefined
  readonly done: (exit: Exit.Exit<Appended, StorageUnavailable>) => void
}

interface Taken {
  readonly append: Append
  readonly done: Waiting["done"]
  /** When another writer was first seen to hold the stream, milliseconds since 1970. */
  readonly heldSince?: number
}

export class Committer extends Context.Service<
  Committer,
  {
    /**
     * Queues a stream's next append. `take` is called once, when the transaction begins; undefined means that there is
     * nothing to append, and then `done` is not called. Otherwise `done` is called once, with the result of this append.
     * If one of them throws, the committer logs it and goes on; a `take` that throws has its `done` called with the defect.
     * A room has at most one append queued or under way, so that a transaction never holds two of one stream.
     */
    readonly submit: (take: Waiting["take"], done: Waiting["done"]) => void
    /** Reports that a queued append has grown, so that a gathering commit may wait for more. */
    readonly grown: () => void
    /** True from a failed commit on, until one has stored something. */
    readonly failing: () => boolean
    /** Waits until `failing`. */
    readonly untilFailing: Effect.Effect<void>
    /** Ends `failing` although nothing was stored, for the case that nobody can try whether the storage stores again. */
    readonly forgive: () => void
    /** The beginning of the commit that is under way, milliseconds since 1970; undefined when there is none. */
    readonly committingSince: () => number | undefined
  }
>()("@sealog/server/Committer") {
  static readonly layer = Layer.effect(
    Committer,
    Effect.gen(function* () {
      const log = yield* EventLog
      const waiting: Array<Waiting> = []
      /** Appends to streams that other writers hold. Each commit tries them again; the other streams do not wait for them. */
      let held: Array<Taken> = []
      const some = yield* Latch.make()
      const clock = yield* Clock.Clock
      const { soon } = yield* EventLoop
      const elapsed = () => monotonicMillis(clock)
      /** Open while the last commit has failed. */
      const failure = yield* Latch.make()

      let lastMillis = 0
      let growth = 0
      /** `growth` when the first of the waiting appends was queued. */
      let firstGrowth = 0
      let committingSince: number | undefined
      let begun = 0
      const underWay = () => (committingSince === undefined ? 0 : (elapsed() - begun) / 1000)
      yield* Metrics.commitUnderWaySeconds.at({}).read(underWay)
      yield* Metrics.appendsWaiting.at({}).read(() => waiting.length)

      /**
       * Lets frames that have arrived, or whose signatures are being checked, share this transaction. It waits while each
       * turn of the event loop brings more, and for less time than those frames would wait for the next transaction. An append
       * that was queued alone does not wait: with one update in flight, nothing else comes.
       */
      const gather = Effect.gen(function* () {
        const sleeps = waiting.length === 0 && held.length === 0
        yield* held.length === 0 ? some.await : Effect.raceFirst(some.await, Effect.sleep(HELD_AGAIN_MILLIS))
        const until = elapsed() + lastMillis * PATIENCE
        if (sleeps && growth === firstGrowth) return
        let before: number
        do {
          before = growth
          // Frames that have arrived are handled first.
          yield* nextTurn
        } while (growth > before && elapsed() < until)
      })

      /** Wakes the fiber. */
      const wake = (): void => {
        if (waiting.length > 0) some.openUnsafe()
      }

      /** Logs what rooms threw, and appends that were given up, since the last call. */
      let defects: Array<unknown> = []
      let givenUp: Array<StorageUnavailable> = []
      const report = Effect.suspend(() => {
        if (defects.length === 0 && givenUp.length === 0) return Effect.void
        const lines = [
          ...defects.map((defect) => Effect.logError("A room failed in a commit", Cause.die(defect))),
          ...givenUp.map((failure) => Effect.logWarning("A commit failed", Cause.fail(failure)))
        ]
        defects = []
        givenUp = []
        return Effect.all(lines, { discard: true })
      })

      const exitsOf = (results: ReadonlyArray<Appended>): ReadonlyArray<Exit.Exit<Appended, StorageUnavailable>> => {
        const failures = results.flatMap((result) => (result._tag === "Unreachable" ? [result.failure] : []))
        givenUp.push(...new Set(failures))
        return results.map((result) =>
          result._tag === "Unreachable" ? Exit.fail(result.failure) : Exit.succeed(result)
        )
      }

      const end = (done: Waiting["done"], exit: Exit.Exit<Appended, StorageUnavailable>): void => {
        try {
          done(exit)
        } catch (defect) {
          defects.push(defect)
        }
      }

      const take = ({ done, take }: Waiting): Append | undefined => {
        try {
          return take()
        } catch (defect) {
          defects.push(defect)
          end(done, Exit.die(defect))
          return undefined
        }
      }

      const takeBatch = () => {
        const batch = held
        held = []
        let bytes = batch.reduce((sum, { append }) => sum + bytesOf(append), 0)
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
          const append = take(next)
          if (append === undefined) continue
          batch.push({ append, done: next.done })
          bytes += bytesOf(append)
          if (batch.length >= MAX_APPENDS || bytes >= MAX_BYTES) break
        }
        if (waiting.length === 0) some.closeUnsafe()
        return batch
      }

      const keepHeld = (taken: Taken): void => {
        const now = clock.currentTimeMillisUnsafe()
        const { append, done, heldSince = now } = taken
        if (now - heldSince < HELD_MILLIS) {
          held.push({ append, done, heldSince })
          return
        }
        const failure = new StorageUnavailable({ operation: "append", cause: heldTooLong(append.key) })
        givenUp.push(failure)
        end(done, Exit.fail(failure))
      }

      /**
       * Appends a batch in one transaction, and returns the result of each append. After a defect, such as a damaged page of the
       * database, it appends the halves of the batch apart: the streams that the defect does not concern go on.
       */
      const appendAll = (
        appends: NonEmptyReadonlyArray<Append>
      ): Effect.Effect<ReadonlyArray<Exit.Exit<Appended, StorageUnavailable>>> =>
        Effect.suspend(() => log.append(appends, { leaveHeld: true })).pipe(
          Effect.tapCause((cause) => Effect.logWarning("A commit failed", cause)),
          Effect.exit,
          Effect.flatMap((exit): ReturnType<typeof appendAll> => {
            if (Exit.isSuccess(exit)) return Effect.succeed(exitsOf(exit.value))
            const middle = appends.length >> 1
            const [first, second] = [appends.slice(0, middle), appends.slice(middle)]
            if (!Cause.hasDies(exit.cause) || !isArrayNonEmpty(first) || !isArrayNonEmpty(second)) {
              return Effect.succeed(appends.map(() => Exit.failCause(exit.cause)))
            }
            return Effect.zipWith(appendAll(first), appendAll(second), (all, others) => [...all, ...others])
          })
        )

      const commit = Effect.suspend(() => {
        const batch = takeBatch()
        const appends = batch.map(({ append }) => append)
        if (!isArrayNonEmpty(appends)) return Effect.void
        begun = elapsed()
        committingSince = clock.currentTimeMillisUnsafe()
        return appendAll(appends).pipe(
          Effect.tap(() => logIfSlow(elapsed() - begun, appends)),
          Effect.map((exits) => {
            lastMillis = elapsed() - begun
            committingSince = undefined
            countCommit(lastMillis, appends, exits)
            if (exits.every(Exit.isFailure)) failure.openUnsafe()
            else if (exits.some(isCommitted)) failure.closeUnsafe()
            for (const [i, taken] of batch.entries()) {
              const exit = exits[i]!
              if (Exit.isSuccess(exit) && exit.value._tag === "Held") keepHeld(taken)
              else end(taken.done, exit)
            }
          })
        )
      })
      yield* Effect.forkScoped(
        Effect.forever(
          Effect.uninterruptibleMask((restore) => restore(gather).pipe(Effect.andThen(commit), Effect.andThen(report)))
        )
      )

      return Committer.of({
        submit: (take, done) => {
          waiting.push({ take, done })
          growth += 1
          if (waiting.length > 1) return
          firstGrowth = growth
          // The latch runs the fiber within the call that opens it. Rooms whose signatures were verified together have all
          // queued their appends by `soon`.
          soon(wake)
        },
        grown: () => {
          growth += 1
        },
        committingSince: () => committingSince,
        failing: () => failure.isOpen(),
        untilFailing: failure.await,
        forgive: () => void failure.closeUnsafe()
      })
    })
  )
}

const heldTooLong = ({ libraryId, streamId }: StreamKey) =>
  new Error(`another writer holds the stream ${streamId} of ${libraryId} for more than ${HELD_MILLIS / 1000} seconds`)

const logIfSlow = (millis: number, appends: ReadonlyArray<Append>): Effect.Effect<void> => {
  if (millis < SLOW_MILLIS) return Effect.void
  const events = appends.reduce((sum, append) => sum + append.events.length, 0)
  return Effect.logWarning("slow commit").pipe(
    Effect.annotateLogs({ ms: Math.round(millis), streams: appends.length, events })
  )
}

const [seconds, events, streams] = [
  Metrics.commitSeconds.at({}),
  Metrics.commitEvents.at({}),
  Metrics.commitStreams.at({})
]

const countCommit = (
  millis: number,
  appends: ReadonlyArray<Append>,
  exits: ReadonlyArray<Exit.Exit<Appended, StorageUnavailable>>
): void => {
  seconds.observe(millis / 1000)
  if (exits.every(Exit.isFailure)) return
  let count = 0
  for (const [i, append] of appends.entries()) {
    if (!isCommitted(exits[i]!)) continue
    count += append.events.length
    Metrics.countStored(append.events)
  }
  events.observe(count)
  streams.observe(appends.length)
}

const isCommitted = (exit: Exit.Exit<Appended, StorageUnavailable>): boolean =>
  Exit.isSuccess(exit) && exit.value._tag === "Committed"

const bytesOf = ({ events }: Append): number => events.reduce((sum, { payload }) => sum + (payload?.length ?? 0), 0)
