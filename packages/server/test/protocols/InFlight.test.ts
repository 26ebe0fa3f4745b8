/** Updates on their way to the log are bounded for each connection, and for all of them together. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { SharedBytes } from "../../src/internal/SharedBytes.ts"
import { InFlight } from "../../src/protocols/InFlight.ts"

const MB = 1024 * 1024

/** Begins updates of 100,000 bytes until the next one has to wait. Returns their number. */
const fill = (inFlight: InFlight) =>
  Effect.gen(function* () {
    for (let updates = 0; ; updates++) {
      const waiting = yield* Effect.forkChild(inFlight.belowLimit, { startImmediately: true })
      if (waiting.pollUnsafe() === undefined) {
        yield* Fiber.interrupt(waiting)
        return updates
      }
      inFlight.begin(100_000)
    }
  })

describe("updates in flight", () => {
  it.effect("may be many on a few connections, and are few on each while all together are many", () =>
    Effect.gen(function* () {
      const all = new SharedBytes(20 * MB)
      const counts: Array<number> = []
      for (let i = 0; i < 10; i++) counts.push(yield* fill(new InFlight(all)))
      assert.deepStrictEqual(counts, [84, 84, 42, 1, 1, 1, 1, 1, 1, 1])
    })
  )

  it.effect("go on when a connection's own updates are stored, however many the others have", () =>
    Effect.gen(function* () {
      const all = new SharedBytes(MB)
      all.add(2 * MB)
      const inFlight = new InFlight(all)
      assert.strictEqual(yield* fill(inFlight), 1)
      const waiting = yield* Effect.forkChild(inFlight.belowLimit, { startImmediately: true })
      inFlight.end(100_000)
      yield* Fiber.join(waiting)
    })
  )
})
