import { assert, it } from "@effect/vitest"
import { StorageUnavailable } from "@sealog/server/ports"
import { Effect } from "effect"
import { leftBehindAfter } from "../src/LeftBehind.ts"

const soon = leftBehindAfter("1 milli", { operation: "append", message: "the database does not answer" })

// For example one that waits for a connection of the pool: its interruption takes no time at all.
it.live("an effect that ends at once when it is interrupted fails as an outage after the time limit", () =>
  Effect.gen(function* () {
    const failure = yield* Effect.flip(soon(Effect.never))
    assert.instanceOf(failure, StorageUnavailable)
    assert.include(String(failure.cause), "does not answer")
  })
)

it.live("an effect that cannot be interrupted is left behind, and its caller fails after the time limit", () =>
  Effect.gen(function* () {
    const failure = yield* Effect.flip(soon(Effect.uninterruptible(Effect.never)))
    assert.instanceOf(failure, StorageUnavailable)
  })
)
