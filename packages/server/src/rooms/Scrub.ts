/**
 * The scrub: it reads the whole log while the server runs, slowly, and so compares all of it with its hashes. Without it, damage
 * to a document would be found by the client that needs it, perhaps years later and after the last sound backup is gone.
 */
import { performance } from "node:perf_hooks"
import { Clock, Duration, Effect, Layer, Schedule } from "effect"
import { emptyHead, purgesBefore, type StreamHead, type StreamKey } from "../domain/Stream.ts"
import * as Metrics from "../metrics/Metrics.ts"
import { EventLog, LogDamaged, type PlacedEvent, type StreamSummary } from "../ports/EventLog.ts"
import { StorageCheck } from "../ports/StorageCheck.ts"
import { Damage } from "./Damage.ts"
import { isBehind } from "./isBehind.ts"
import { damageIn, gapBefore, MISSING } from "./VerifiedEventLog.ts"

export interface ScrubOptions {
  /** Bytes of the log that are read in a second. 0: the log is not scrubbed. Default: 1 MiB. */
  readonly bytesPerSecond: number
  /** The least time from the beginning of a scrub to that of the next. Default: 1 day. */
  readonly every: Duration.Input
}

export const defaultScrub: ScrubOptions = { bytesPerSecond: 1024 * 1024, every: "1 day" }

/** Streams that one query names, and what one read of events returns: a millisecond of work. */
const [PAGE_STREAMS, PAGE_EVENTS, PAGE_BYTES] = [100, 100, 64 * 1024] as const
/** Bytes of an event without its payload, as the rate counts them. */
const EVENT_BYTES = 1024
/** Above this share of the event loop's time, the scrub is slower by the factor. */
const [BUSY, SLOWER] = [0.5, 10] as const
/** How long a scrub waits for a storage that is not available. */
const RETRIES = Schedule.spaced("5 seconds")

export const layerScrub = (given: Partial<ScrubOptions> = {}): Layer.Layer<never, never, EventLog | Damage> => {
  const { bytesPerSecond, every } = { ...defaultScrub, ...given }
  if (bytesPerSecond <= 0) return Layer.empty
  return Layer.effectDiscard(
    Effect.gen(function* () {
      const log = yield* EventLog
      const damage = yield* Damage
      const checkStorage = yield* StorageCheck
      const clock = yield* Clock.Clock
      const scrubbed = Metrics.scrubbedEvents.at({})
      let loop = performance.eventLoopUtilization()

      const pause = Effect.fnUntraced(function* (page: ReadonlyArray<PlacedEvent>) {
        const bytes = page.reduce((sum, { payload }) => sum + EVENT_BYTES + (payload?.length ?? 0), 0)
        const isBusy = performance.eventLoopUtilization(loop).utilization > BUSY
        loop = performance.eventLoopUtilization()
        yield* Effect.sleep((1000 * bytes * (isBusy ? SLOWER : 1)) / bytesPerSecond)
      })

      /** Reads a stream to its end, with the events that are written during it: a later one may explain a missing payload. */
      const scrubStream = Effect.fnUntraced(function* ({ key, version }: StreamSummary) {
        let head: StreamHead = emptyHead
        let end = version
        let [purged, lastWithout] = [0, 0]
        while (head.version < end) {
          const page = yield* log.read(key, { after: head.version, limit: PAGE_EVENTS, maxBytes: PAGE_BYTES })
          const gap = gapBefore(key, head, page[0]?.event)
          if (gap !== undefined) return yield* reportGap(key, gap, { ...head, version: end })
          for (const { event, payload } of page) {
            if (payload === null && event.payloadHash !== "") lastWithout = event.version
            purged = Math.max(purged, purgesBefore(event))
          }
          head = page.at(-1)!.event
          scrubbed.add(page.length)
          yield* pause(page)
          if (head.version >= end) end = (yield* log.heads([key]))[0]?.version ?? 0
        }
        if (lastWithout > 0 && lastWithout >= purged)
          damage.report(new LogDamaged({ ...key, version: lastWithout, detail: MISSING }))
      })

      /** Reports a gap, unless the log was restored from a backup while the stream was read. */
      const reportGap = Effect.fnUntraced(function* (key: StreamKey, gap: LogDamaged, known: StreamHead) {
        const [now = emptyHead] = yield* log.heads([key])
        if (!isBehind(now, { ...known, chain: now.chain })) damage.report(gap)
      })

      const passOverDamage = <E>(effect: Effect.Effect<void, E>) =>
        Effect.catchCause(effect, (cause) => {
          // The log has reported it. The rest of the stream is `doctor`'s to read.
          if (damageIn(cause) !== undefined) return Effect.void
          return Effect.failCause(cause)
        })

      const scrub = Effect.gen(function* () {
        for (const problem of yield* Effect.retry(checkStorage, RETRIES)) {
          damage.report(new LogDamaged({ detail: problem }))
        }
        let after: StreamKey | undefined
        while (true) {
          const listed = log.streams({ limit: PAGE_STREAMS, payloads: false, ...(after && { after }) })
          const page = yield* Effect.retry(listed, RETRIES)
          for (const stream of page) yield* passOverDamage(Effect.retry(scrubStream(stream), RETRIES))
          after = page.at(-1)?.key
          if (page.length < PAGE_STREAMS) return Metrics.scrubsEnded.at({}).add()
        }
      })

      const atIntervals = Effect.gen(function* () {
        const begun = clock.currentTimeMillisUnsafe()
        yield* Effect.catchDefect(passOverDamage(scrub), (defect) => Effect.logError("The scrub failed", defect))
        const left = begun + Duration.toMillis(every) - clock.currentTimeMillisUnsafe()
        yield* Effect.sleep(Math.max(1000, left))
      })
      yield* Effect.forkScoped(Effect.forever(atIntervals))
    })
  )
}
