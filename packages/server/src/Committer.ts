/**
 * Group commit: while one transaction is being made durable, the appends of all rooms gather for the next. One
 * document is not limited to an update per fsync, and a thousand documents share one.
 */
import { Clock, Context, Effect, Exit, Latch, Layer } from "effect"
import { isArrayNonEmpty } from "effect/Array"
import { type Append, type Appended, EventLog, type StorageUnavailable } from "./EventLog.ts"
import { type BatchLimits, takeBatch } from "./takeBatch.ts"

/** A transaction takes at most so much, so that none waits long for the others. */
const LIMITS: BatchLimits = { count: 1000, bytes: 32 * 1024 * 1024 }

/** A failure is reported for so long; then the next commit is given its chance. */
const FAILING_MILLIS = 10_000

interface Waiting {
  readonly append: Append
  readonly done: (exit: Exit.Exit<Appended, StorageUnavailable>) => void
}

export class Committer extends Context.Service<
  Committer,
  {
    /**
     * Queues an append; `done` is called once it is durable, in conflict, or the storage failed. A room has at most
     * one append queued or under way, so a batch never holds two of one stream.
     */
    readonly submit: (append: Append, done: Waiting["done"]) => void
    /** Whether a commit failed in the last ten seconds, and none has succeeded since. */
    readonly failing: () => boolean
  }
>()("@sealog/server/Committer") {
  static readonly layer = Layer.effect(
    Committer,
    Effect.gen(function* () {
      const log = yield* EventLog
      const waiting: Array<Waiting> = []
      const some = yield* Latch.make()
      const clock = yield* Clock.Clock
      let failedAt = Number.NEGATIVE_INFINITY

      const gather = some.await.pipe(
        // One more turn of the event loop, so that frames that have already arrived share this transaction.
        Effect.andThen(Effect.yieldNow)
      )
      const commit = Effect.suspend(() => {
        const batch = takeBatch(waiting, LIMITS, bytesOf)
        if (waiting.length === 0) some.closeUnsafe()
        const appends = batch.map(({ append }) => append)
        if (!isArrayNonEmpty(appends)) return Effect.void
        return log.append(appends).pipe(
          Effect.tapCause((cause) => Effect.logWarning("A commit failed", cause)),
          Effect.exit,
          Effect.map((exit) => {
            failedAt = Exit.isFailure(exit) ? clock.currentTimeMillisUnsafe() : Number.NEGATIVE_INFINITY
            for (const [i, { done }] of batch.entries()) done(Exit.map(exit, (results) => results[i]!))
          })
        )
      })
      yield* Effect.forkScoped(
        Effect.forever(Effect.uninterruptibleMask((restore) => Effect.andThen(restore(gather), commit)))
      )

      return Committer.of({
        submit: (append, done) => {
          waiting.push({ append, done })
          some.openUnsafe()
        },
        failing: () => clock.currentTimeMillisUnsafe() - failedAt < FAILING_MILLIS
      })
    })
  )
}

const bytesOf = ({ append }: Waiting): number =>
  append.events.reduce((sum, { payload }) => sum + (payload?.length ?? 0), 0)
