/**
 * Notices that the log was restored from a backup while this process runs, and that an operator or another process said so.
 *
 * A room compares its head with the log's when it appends or reads, and at intervals. If the log has less, or another history,
 * then the room ends and reports that here. This service writes a mark into the log, unless another process has, and every
 * room of every process ends at a mark that it did not know: the streams open again as the log holds them now. Clients come
 * back, and are asked for what they have.
 */
import { Cause, Clock, Context, Effect, FiberSet, Latch, Layer, Schema, type Scope } from "effect"
import * as Domain from "../domain/LogEpoch.ts"
import { emptyHead, type StreamHead, type StreamKey, streamName } from "../domain/Stream.ts"
import * as Metrics from "../metrics/Metrics.ts"
import { EventLog } from "../ports/EventLog.ts"
import { appendAfter } from "./optimisticAppend.ts"

/** How often a process looks for a mark. */
const LOOK = "2 seconds"
/** The pause before a mark is tried again that could not be written. */
const RETRY = "500 millis"
/** How long after a restore newcomers wait for clients that know more, milliseconds. Connected clients are back by then. */
const RETURN_MILLIS = 5000
/** How often a server that waits on a standby looks whether it was promoted. */
const PROMOTION_LOOK = "100 millis"
/** The least time between a mark and the next one that a process writes, milliseconds. */
const MARK_AGAIN_MILLIS = 60_000
/** Streams that the server's log names after a restore; the others are counted. */
const MAX_NAMED = 20

const ORIGIN = "server"

/** The log is a standby of another one. A server that wrote to it would divide the two. */
export class LogIsStandby extends Schema.TaggedError<LogIsStandby>()("LogIsStandby", {}) {
  override get message(): string {
    return "The log is a standby of another one, and no server may write to it before it is promoted."
  }
}

const isStandby = Effect.gen(function* () {
  const events = yield* (yield* EventLog).read(Domain.logEpochKey, { after: 0, payloads: false })
  return Domain.fold(events).isStandby
})

/** Fails if the log is a standby. A storage that cannot be read is no reason: the server waits for it. */
export const refuseStandby = Effect.gen(function* () {
  if (yield* Effect.orElseSucceed(isStandby, () => false)) return yield* new LogIsStandby()
})

/** Waits while the log is a standby, or cannot be read. `onWaiting` runs first, if there is something to wait for. */
export const untilPromoted = Effect.fnUntraced(function* <R>(onWaiting: Effect.Effect<unknown, never, R>) {
  const mayBe = Effect.orElseSucceed(isStandby, () => true)
  if (!(yield* mayBe)) return
  yield* onWaiting
  while (yield* mayBe) yield* Effect.sleep(PROMOTION_LOOK)
})

export class LogEpoch extends Context.Service<
  LogEpoch,
  {
    /** The log's epoch, as far as this process has read it. */
    readonly current: () => Domain.LogEpoch
    /**
     * No client wrote before this to a stream of the restored log, milliseconds since 1970; undefined: it was never restored.
     * An operator may say so late: then it is the moment at which this process started, because it noticed nothing itself.
     */
    readonly restoredAt: () => number | undefined
    /** Whether the log was restored so recently that clients are on their way back. */
    readonly isReturning: () => boolean
    /** Reports a stream that the log holds less of than this process, or another history. */
    readonly report: (key: StreamKey, known: StreamHead, found: StreamHead) => void
    /** Calls the listener at each mark that this process did not know, until the scope closes. */
    readonly onRestored: (listener: () => void) => Effect.Effect<void, never, Scope.Scope>
    /** True while a restore was noticed and is not marked in the log yet. */
    readonly isUnmarked: () => boolean
  }
>()("@sealog/server/LogEpoch") {
  static readonly layer = Layer.effect(
    LogEpoch,
    Effect.gen(function* () {
      const log = yield* EventLog
      const clock = yield* Clock.Clock
      const startedAt = clock.currentTimeMillisUnsafe()
      const run = yield* FiberSet.makeRuntime<never>()
      const listeners = new Set<() => void>()
      /** The marks that this process has seen: a mark that it has not means that every room is of before. */
      const seen = new Set<string>()
      let epoch = Domain.firstEpoch
      let head: StreamHead = emptyHead
      let isUnmarked = false
      let returningUntil = 0
      let markAgainAt = 0
      let named = 0
      const noticed = yield* Latch.make()
      yield* Metrics.logEpoch.at({}).read(() => epoch.number)

      const read = Effect.map(log.read(Domain.logEpochKey, { after: 0, payloads: false }), (placed) => {
        const events = placed.map(({ event }) => event)
        return {
          head: events.reduce<StreamHead>(
            (_, { chain, generation, version }) => ({ version, generation, chain }),
            emptyHead
          ),
          epoch: events.reduce(Domain.evolve, Domain.firstEpoch),
          continues: head.version === 0 || events[head.version - 1]?.chain === head.chain
        }
      })

      const take = (found: { readonly head: StreamHead; readonly epoch: Domain.LogEpoch }): void => {
        const { restored } = found.epoch
        const isNews = (head.version > 0 || isUnmarked) && restored !== undefined && !seen.has(restored.mark)
        head = found.head
        epoch = found.epoch
        if (restored !== undefined && !seen.has(restored.mark)) {
          seen.add(restored.mark)
          // Also at the start, which may follow the mark.
          returningUntil = clock.currentTimeMillisUnsafe() + RETURN_MILLIS
        }
        if (!isNews) return
        isUnmarked = false
        named = 0
        markAgainAt = clock.currentTimeMillisUnsafe() + MARK_AGAIN_MILLIS
        const line = Effect.logWarning(
          "The log was restored from a backup. Every stream opens again, and clients that know more are asked for what they have."
        )
        run(Effect.annotateLogs(line, { epoch: epoch.number, log: epoch.logId ?? "" }))
        for (const listener of listeners) {
          try {
            listener()
          } catch (defect) {
            run(Effect.logError("Ending a room after a restore failed", Cause.die(defect)))
          }
        }
      }

      const append = (event: Domain.LogEpochEvent, after: StreamHead) =>
        appendAfter(log, Domain.logEpochKey, after, { event: Domain.toNewEvent(event), origin: ORIGIN })

      /** Reads the marks; names a log that has no name, and marks a restore that was noticed. */
      const readOn = Effect.gen(function* () {
        let found = yield* read
        if (!found.continues) {
          report(Domain.logEpochKey, head, found.head)
        }
        while (found.epoch.logId === undefined) {
          yield* append({ _tag: "LogNamed", logId: crypto.randomUUID() }, found.head)
          found = yield* read
        }
        const isMarked = () => found.epoch.restored !== undefined && !seen.has(found.epoch.restored.mark)
        while (isUnmarked && !isMarked()) {
          yield* append({ _tag: "LogRestored", mark: crypto.randomUUID(), noticed: true }, found.head)
          found = yield* read
        }
        take(found)
      })

      const look = Effect.gen(function* () {
        if (!isUnmarked && head.version > 0) {
          const [found] = yield* log.heads([Domain.logEpochKey])
          if (found?.version === head.version && found.chain === head.chain) return
        }
        yield* readOn
      }).pipe(
        // The next look tries again.
        Effect.catch((error) => Effect.logDebug("Reading the log's epoch failed", error)),
        Effect.catchDefect((defect) => Effect.logError("Reading the log's epoch failed", Cause.die(defect)))
      )

      const report = (key: StreamKey, known: StreamHead, found: StreamHead): void => {
        Metrics.streamsWentBack.at({}).add()
        named += 1
        // A damaged log, whose heads and events differ, goes back at once again: it must not be marked without an end.
        if (clock.currentTimeMillisUnsafe() >= markAgainAt) {
          isUnmarked = true
          noticed.openUnsafe()
        }
        if (named > MAX_NAMED) return
        const line = Effect.logError(
          "The log holds less of a stream than this server, or another history: was it restored from a backup?"
        )
        const lost = found.version < known.version ? `${found.version + 1}-${known.version}` : `up to ${known.version}`
        run(Effect.annotateLogs(line, { stream: streamName(key), lost, known: known.version, found: found.version }))
      }

      const wait = Effect.raceFirst(Effect.sleep(LOOK), noticed.await)
      yield* Effect.forkScoped(
        Effect.forever(
          Effect.andThen(
            look,
            Effect.suspend(() => {
              noticed.closeUnsafe()
              return isUnmarked ? Effect.sleep(RETRY) : wait
            })
          )
        )
      )

      return LogEpoch.of({
        current: () => epoch,
        restoredAt: () => {
          const { restored } = epoch
          if (restored === undefined || restored.noticed) return restored?.at
          return Math.min(restored.at, startedAt)
        },
        isReturning: () => clock.currentTimeMillisUnsafe() < returningUntil,
        report,
        onRestored: (listener) =>
          Effect.acquireRelease(
            Effect.sync(() => void listeners.add(listener)),
            () => Effect.sync(() => void listeners.delete(listener))
          ),
        isUnmarked: () => isUnmarked
      })
    })
  )
}
