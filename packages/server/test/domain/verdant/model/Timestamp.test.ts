/** Timestamps, compared with the clock of the client library. */
import { assert, describe, it } from "@effect/vitest"
import { getWallClockTime, HybridLogicalClockTimestampProvider } from "@verdant-web/common"
import { Schema } from "effect"
import fc from "fast-check"
import { firstAt, isTimestamp, millisOf, Timestamp } from "../../../../src/domain/verdant/model/Timestamp.ts"

const clock = new HybridLogicalClockTimestampProvider()
const { node } = clock.timerState()
const at = (version: number, time: number, counter: number) =>
  Timestamp.make(clock.get(version, { time, counter, node }))

const version = fc.integer({ min: 0, max: 36 ** 4 - 1 })
const time = fc.integer({ min: 0, max: Date.parse("2200-01-01") })
const counter = fc.integer({ min: 0, max: 65535 })

describe("Timestamp", () => {
  it("accepts the timestamps of a client's clock, and reads their time", () => {
    for (const timestamp of [clock.now(1), clock.now(36 ** 3), clock.zero(2)]) {
      assert.isTrue(isTimestamp(timestamp), timestamp)
      assert.strictEqual(millisOf(Timestamp.make(timestamp)), getWallClockTime(timestamp))
    }
    assert.strictEqual(millisOf(Timestamp.make(clock.zero(2))), 0)
  })

  it("rejects everything else", () => {
    const valid = clock.now(1)
    const others = [
      valid.slice(1),
      `${valid}0`,
      `${valid}\n`,
      valid.toUpperCase().replace(/^./, "A"),
      ` ${valid.slice(1)}`,
      "0".repeat(25_000_000),
      "",
      "__proto__",
      null,
      undefined,
      24,
      [valid],
      { length: 24 }
    ]
    for (const other of others) {
      assert.isFalse(isTimestamp(other))
      assert.isFalse(Schema.is(Timestamp)(other))
    }
  })

  it("sorts by version, then time, then counter", () => {
    fc.assert(
      fc.property(fc.tuple(version, time, counter), fc.tuple(version, time, counter), (a, b) => {
        const difference = a.map((part, i) => part - (b[i] ?? 0)).find((part) => part !== 0) ?? 0
        const [left, right] = [at(...a), at(...b)]
        assert.strictEqual(left < right ? -1 : left > right ? 1 : 0, Math.sign(difference))
      })
    )
  })

  it("gives the smallest timestamp that any node can make in a millisecond", () => {
    fc.assert(
      fc.property(version, time, counter, (version, time, counter) => {
        const timestamp = at(version, time, counter)
        const first = firstAt(time, { sameVersionAs: timestamp })
        assert.isTrue(isTimestamp(first))
        assert.strictEqual(millisOf(first), time)
        assert.isTrue(first <= timestamp)
        assert.isTrue(firstAt(time + 1, { sameVersionAs: timestamp }) > timestamp)
        assert.strictEqual(first.slice(0, 4), timestamp.slice(0, 4))
      })
    )
  })

  it("clamps any number to a valid timestamp", () => {
    const sameVersionAs = at(1, 0, 0)
    for (const millis of [-1, 0.5, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e300]) {
      assert.isTrue(isTimestamp(firstAt(millis, { sameVersionAs })), String(millis))
    }
  })
})
