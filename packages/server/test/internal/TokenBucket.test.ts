import { assert, describe, it } from "@effect/vitest"
import { TokenBucket } from "../../src/internal/TokenBucket.ts"

/** How many of many attempts at one moment succeed. */
const taken = (bucket: TokenBucket, now: number) =>
  Array.from({ length: 100 }, () => bucket.take(now)).filter(Boolean).length

describe("a token bucket", () => {
  it("allows a burst, and then the rate", () => {
    const bucket = new TokenBucket({ perSecond: 10, burst: 20 }, 0)
    assert.deepStrictEqual([taken(bucket, 0), taken(bucket, 50), taken(bucket, 100)], [20, 0, 1])
    assert.strictEqual(taken(bucket, 1100), 10)
  })

  it("never holds more than its burst, and never loses tokens to a clock that is set back", () => {
    const bucket = new TokenBucket({ perSecond: 10, burst: 20 }, 10_000)
    assert.strictEqual(taken(bucket, 1_000_000), 20)
    assert.strictEqual(taken(bucket, 0), 0)
    assert.strictEqual(taken(bucket, 1000), 10)
  })
})
