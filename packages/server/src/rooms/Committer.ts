/**
 * Group commit: while one transaction is being made durable, the appends of all rooms gather for the next. One
 * document is not limited to an update per fsync, and a thousand documents share one.
 */
import { Clock, Context, Effect, Exit, Latch, Layer } from "effect"
import { isArrayNonEmpty } from "effect/Array"
import { type Append, type Appended, EventLog, type StorageUnavailable } from "../ports/EventLog.ts"

/** A transaction is filled up to so much, so that none waits long for the others. */
const MAX_APPENDS = 1000
const MAX_BYTES = 32 * 1024 * 1024

/** A commit waits for what is just coming, for this part of the time that the last one took. */
const PATIENCE = 0.5

/** A failure is reported for so long; then the next commit is given its chance. */
const FAILING_MILLIS = 10_000

interface Waiting {
  readonly take: () => Append | undefined
  readonly done: (exit: Exit.Exit<Appended, StorageUnavailable>) => void
}

export class Committer extends Context.Service<
  Committer,
  {
    /**
     * Queues a stream's next append: `take` is asked for it when its transaction begins, so that it holds what came until
     * then; `done` is called once it is durable, in conflict, or the storage failed, unless there was none to take. A
     * room has at most one append queued or under way, so a batch never holds two of one stream.
     */
    readonly submit: (take: Waiting["take"], done: Waiting["done"]) => void
    /** Says that what is queued has become more. */
    readonly grown: () => void
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

      let lastMillis = 0
      let growth = 0

      /**
       * Frames that have arrived, or whose signatures are being checked, share this transaction: it waits as long as each
       * turn of the event loop brings more, and for less than it would take them to wait for it.
       */
      const gather = Effect.gen(function* () {
        yield* some.await
        const until = performance.now() + lastMillis * PATIENCE
        let before: number
        do {
          before = growth
          yield* nextTurn
        } while (growth > before && performance.now() < until)
      })

      const takeBatch = () => {
        const batch: Array<{ readonly append: Append; readonly done: Waiting["done"] }> = []
        let bytes = 0
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
          const append = next.take()
          if (append === undefined) continue
          batch.push({ append, done: next.done })
          bytes += bytesOf(append)
          if (batch.length >= MAX_APPENDS || bytes >= MAX_BYTES) break
        }
        if (waiting.length === 0) some.closeUnsafe()
        return batch
      }

      const commit = Effect.suspend(() => {
        const batch = takeBatch()
        const appends = batch.map(({ append }) => append)
        if (!isArrayNonEmpty(appends)) return Effect.void
        const begun = performance.now()
        return log.append(appends).pipe(
          Effect.tapCause((cause) => Effect.logWarning("A commit failed", cause)),
          Effect.exit,
          Effect.map((exit) => {
            lastMillis = performance.now() - begun
            failedAt = Exit.isFailure(exit) ? clock.currentTimeMillisUnsafe() : Number.NEGATIVE_INFINITY
            for (const [i, { done }] of batch.entries()) done(Exit.map(exit, (results) => results[i]!))
          })
        )
      })
      yield* Effect.forkScoped(
        Effect.forever(Effect.uninterruptibleMask((restore) => Effect.andThen(restore(gather), commit)))
      )

      return Committer.of({
        submit: (take, done) => {
          waiting.push({ take, done })
          growth += 1
          some.openUnsafe()
        },
        grown: () => {
          growth += 1
        },
        failing: () => clock.currentTimeMillisUnsafe() - failedAt < FAILING_MILLIS
      })
    })
  )
}

const bytesOf = ({ events }: Append): number => events.reduce((sum, { payload }) => sum + (payload?.length ?? 0), 0)

/** What has arrived by then is handled first. */
const nextTurn = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
