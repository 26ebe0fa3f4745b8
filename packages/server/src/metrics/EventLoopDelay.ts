/** How long work on the event loop delays timers. It is watched while a server of this process runs. */
import { monitorEventLoopDelay } from "node:perf_hooks"
import { Effect, type Scope } from "effect"

/** The delay is told for this one window and the one before. */
const WINDOW_MILLIS = 10_000
/** Milliseconds between two looks. Each measured value holds them besides the delay. */
const RESOLUTION = 20
const NANOS = 1e9

type Statistic = "median" | "p99" | "max"

type Delays = ReturnType<typeof monitorEventLoopDelay>

interface Watch {
  readonly delays: Delays
  readonly timer: NodeJS.Timeout
  before: Readonly<Record<Statistic, number>>
}

let watch: Watch | undefined
let watchers = 0

/** The delay in seconds; 0 while nothing watches. */
export const eventLoopDelay = (statistic: Statistic): number =>
  watch === undefined ? 0 : Math.max(watch.before[statistic], statisticsOf(watch.delays)[statistic])

/** Watches the event loop until the scope closes. */
export const watchEventLoop: Effect.Effect<void, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => {
    watchers += 1
    watch ??= begin()
  }),
  () =>
    Effect.sync(() => {
      watchers -= 1
      if (watchers > 0 || watch === undefined) return
      clearInterval(watch.timer)
      watch.delays.disable()
      watch = undefined
    })
)

const begin = (): Watch => {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION })
  delays.enable()
  const timer = setInterval(() => {
    if (watch === undefined) return
    watch.before = statisticsOf(delays)
    delays.reset()
  }, WINDOW_MILLIS)
  return { delays, timer: timer.unref(), before: statisticsOf(delays) }
}

const statisticsOf = (delays: Delays): Readonly<Record<Statistic, number>> =>
  delays.count === 0
    ? { median: 0, p99: 0, max: 0 }
    : {
        median: secondsOf(delays.percentile(50)),
        p99: secondsOf(delays.percentile(99)),
        max: secondsOf(delays.max)
      }

const secondsOf = (nanos: number): number => Math.max(0, nanos / NANOS - RESOLUTION / 1000)
