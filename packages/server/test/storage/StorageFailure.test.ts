import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { LogDamaged, StorageUnavailable } from "../../src/ports/EventLog.ts"
import { type FailureKind, makeUnavailable } from "../../src/storage/StorageFailure.ts"

const unavailable = makeUnavailable((cause) => (cause as { readonly kind?: FailureKind }).kind)

const outcomeOf = Effect.fnUntraced(function* (reason: { readonly _tag: string; readonly cause: unknown }) {
  const exit = yield* Effect.exit(unavailable("read heads")(Effect.fail({ reason })))
  if (Exit.isSuccess(exit)) return "success"
  return Cause.hasDies(exit.cause) ? "defect" : "outage"
})

describe("a failed statement", () => {
  for (const [tag, outcome] of [
    ["SqlSyntaxError", "defect"],
    ["ConstraintError", "defect"],
    ["UniqueViolation", "defect"],
    ["ConnectionError", "outage"],
    ["AuthenticationError", "outage"],
    ["AuthorizationError", "outage"],
    ["DeadlockError", "outage"],
    ["SerializationError", "outage"],
    ["LockTimeoutError", "outage"],
    ["StatementTimeoutError", "outage"],
    ["UnknownError", "outage"]
  ] as const) {
    it.effect(`with the reason ${tag} is ${outcome === "defect" ? "a defect" : "an outage"}`, () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* outcomeOf({ _tag: tag, cause: {} }), outcome)
      })
    )
  }

  for (const [kind, outcome] of [
    ["statement", "defect"],
    ["value", "defect"],
    ["damage", "defect"],
    ["resources", "outage"],
    ["timeout", "outage"]
  ] as const) {
    it.effect(`is ${outcome === "defect" ? "a defect" : "an outage"} if its database code means "${kind}"`, () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* outcomeOf({ _tag: "UnknownError", cause: { kind } }), outcome)
      })
    )
  }

  it.effect("dies of LogDamaged if the database found damage, with the operation and the innermost cause", () =>
    Effect.gen(function* () {
      const cause = Object.assign(new Error("disk image is malformed"), { kind: "damage" })
      const exit = yield* Effect.exit(unavailable("append")(Effect.fail({ reason: { _tag: "UnknownError", cause } })))
      const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.instanceOf(defect, LogDamaged)
      assert.match(String(defect), /the database failed to append/)
    })
  )

  it.effect("becomes StorageUnavailable with the operation and the innermost cause", () =>
    Effect.gen(function* () {
      const cause = new Error("failed to execute statement", { cause: new Error("connection refused") })
      const failing = Effect.fail({ reason: { _tag: "ConnectionError", cause }, cause })
      const error = yield* Effect.flip(unavailable("read heads")(failing))
      assert.strictEqual(error.message, "The storage failed to read heads: connection refused")
    })
  )

  it.effect("stays the StorageUnavailable that it already is", () =>
    Effect.gen(function* () {
      const failure = new StorageUnavailable({ operation: "append", cause: new Error("full") })
      assert.strictEqual(yield* Effect.flip(unavailable("hold a stream")(Effect.fail(failure))), failure)
    })
  )

  it.live("is an outage when it takes longer than its time limit", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(unavailable("read heads", "1 millis")(Effect.never))
      assert.match(error.message, /does not answer/)
    })
  )
})
