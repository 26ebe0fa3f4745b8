/** The server's clock, over a machine's clock that leaps. */
import { assert, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import fc from "fast-check"
import { makeRisingClock } from "../../src/internal/RisingClock.ts"

const machineOf = (clock: Clock.Clock) => {
  const machine = { day: 1_800_000_000_000, elapsed: 0 }
  const rising = makeRisingClock({
    ...clock,
    currentTimeMillisUnsafe: () => machine.day,
    monotonicTimeNanosUnsafe: () => BigInt(machine.elapsed) * 1_000_000n
  })
  return { machine, now: () => rising.currentTimeMillisUnsafe() }
}

it.effect("the clock follows the machine's clock, goes on at its pace after a leap back, and follows it again", () =>
  Effect.gen(function* () {
    const { machine, now } = machineOf(yield* Clock.Clock)
    const start = now()
    machine.day += 1000
    machine.elapsed += 1000
    assert.strictEqual(now(), start + 1000)
    machine.day -= 3_600_000
    assert.strictEqual(now(), start + 1000)
    machine.elapsed += 500
    machine.day += 500
    assert.strictEqual(now(), start + 1500)
    machine.day += 7_200_000
    assert.strictEqual(now(), machine.day)
  })
)

it.effect("the clock never goes back, and is never behind the machine's", () =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const leaps = fc.array(fc.record({ leap: fc.integer({ min: -1e9, max: 1e9 }), pass: fc.nat({ max: 1e6 }) }))
    fc.assert(
      fc.property(leaps, (leaps) => {
        const { machine, now } = machineOf(clock)
        let before = now()
        for (const { leap, pass } of leaps) {
          machine.day += leap + pass
          machine.elapsed += pass
          const found = now()
          assert.isAtLeast(found, before)
          assert.isAtLeast(found, machine.day)
          before = found
        }
      })
    )
  })
)
