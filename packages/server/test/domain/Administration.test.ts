/** Events of administrative streams: old ones decode, and new ones say which operator gave a command, and why. */
import { assert, describe, it } from "@effect/vitest"
import {
  type AdministrationEvent,
  decide,
  evolve,
  fromStreamEvent,
  initial,
  toNewEvent
} from "../../src/domain/Administration.ts"

const roundTrip = (event: AdministrationEvent) => fromStreamEvent(toNewEvent(event) as never)

describe("an administrative event", () => {
  it("of before decodes without an operator", () => {
    for (const [type, data] of [
      ["LibrarySuspended", {}],
      ["UserRevoked", { userId: "ada", before: 7 }],
      ["QuotaSet", { objects: 7 }]
    ] as const) {
      assert.deepStrictEqual(fromStreamEvent({ type, data } as never), { _tag: type, ...data } as never)
    }
  })

  it("keeps the operator and the reason, which are no part of the state", () => {
    const by = { operator: "grace hopper", reason: "left the company, see #7" }
    const quota = { _tag: "QuotaSet", objects: 7, ...by } as const
    assert.deepStrictEqual(roundTrip(quota), quota)
    const state = evolve(initial, quota)
    assert.deepStrictEqual(state.quota, { objects: 7 })
    assert.strictEqual(decide(state, { _tag: "QuotaSet", objects: 7, operator: "ada" })._tag, "Failure")
    assert.deepStrictEqual(roundTrip({ _tag: "LibrarySuspended", ...by }), { _tag: "LibrarySuspended", ...by })
  })

  it.each(["", "a".repeat(501), "two\nlines", "\u001b[31mred", "\u0085", "\u2028", "\ud800"])(
    "is not made with %j as an operator or a reason",
    (text) => {
      assert.throws(() => toNewEvent({ _tag: "LibrarySuspended", operator: text }))
      assert.throws(() => toNewEvent({ _tag: "LibrarySuspended", reason: text }))
    }
  )
})
