import { assert, describe, it } from "@effect/vitest"
import { quantileOf, readMetrics, sumOf } from "../../src/metrics/Readings.ts"

const reading = (...counts: ReadonlyArray<number>) =>
  readMetrics(
    [
      "# TYPE x_seconds histogram",
      ...["0.1", "1", "+Inf"].map((le, i) => `x_seconds_bucket{le="${le}"} ${counts[i]}`),
      ""
    ].join("\n")
  )

describe("readings of metrics", () => {
  it("sums the series of a metric whose labels match, and no other metric's", () => {
    const metrics = readMetrics('a{b="1"} 2\na{b="2"} 3\nab{b="1"} 5\nc 7\n')
    assert.deepStrictEqual([sumOf(metrics, "a"), sumOf(metrics, "a", 'b="1"'), sumOf(metrics, "c")], [5, 2, 7])
  })

  it("a quantile lies within its bucket, and counts only the observations between two readings", () => {
    const [before, after] = [reading(10, 10, 10), reading(10, 14, 14)]
    assert.strictEqual(quantileOf(before, after, "x_seconds", 1), 1)
    assert.closeTo(quantileOf(before, after, "x_seconds", 0.5)!, 0.55, 1e-9)
    assert.isUndefined(quantileOf(after, after, "x_seconds", 0.5))
  })

  it("a quantile in the last bucket is its lower bound", () => {
    assert.strictEqual(quantileOf(reading(0, 0, 0), reading(0, 0, 3), "x_seconds", 0.5), 1)
  })
})
