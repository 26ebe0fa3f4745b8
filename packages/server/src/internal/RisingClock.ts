/**
 * The server's clock: it follows the machine's time of day, and goes on from the latest time when that leaps back. The server
 * compares its time with timestamps of clients and with times in the log. A time that has come must not lie ahead again: the server
 * would hold back what clients write until the machine's clock has caught up.
 *
 * Tokens are not compared with it. Their issuer stamps them by a clock of its own, and a leap ahead that was put right must
 * not refuse them (docs/decisions/0048).
 */
import { Clock, Effect, Layer } from "effect"
import { monotonicMillis } from "./monotonicMillis.ts"

export const makeRisingClock = (machine: Clock.Clock): Clock.Clock => {
  let latest = Number.NEGATIVE_INFINITY
  let readAt = 0
  const millis = (): number => {
    const elapsed = monotonicMillis(machine)
    latest = Math.max(machine.currentTimeMillisUnsafe(), latest + elapsed - readAt)
    readAt = elapsed
    return Math.floor(latest)
  }
  const nanos = (): bigint => BigInt(millis()) * 1_000_000n
  return {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: () => machine.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: machine.monotonicTimeNanos,
    sleep: (duration) => machine.sleep(duration)
  }
}

export const layerRisingClock: Layer.Layer<never> = Layer.effect(Clock.Clock, Effect.map(Clock.Clock, makeRisingClock))
