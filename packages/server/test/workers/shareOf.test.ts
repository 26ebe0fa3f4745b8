import { assert, describe, it } from "@effect/vitest"
import { limitsOfWorker, shareOf } from "@sealog/server/workers"

describe("the share of a worker", () => {
  it("is the whole for all workers together", () => {
    for (const total of [0, 1, 7, 10, 10_000]) {
      for (const count of [1, 2, 3, 8]) {
        const shares = Array.from({ length: count }, (_, i) => shareOf(total, { number: i + 1, count }))
        assert.strictEqual(
          shares.reduce((sum, share) => sum + share, 0),
          total
        )
        assert.isTrue(Math.max(...shares) - Math.min(...shares) <= 1)
      }
    }
  })

  it("holds for the limits, apart from those that the parent counts and those of a heap", () => {
    const limits = limitsOfWorker({ maxConnections: 101, maxFrameBytes: 7 }, { number: 1, count: 2 })
    assert.deepInclude(limits, { maxConnections: 51, maxRequests: 500, maxHandshakes: 500, maxFrameBytes: 7 })
    assert.notProperty(limits, "maxConnectionsPerAddress")
    assert.notProperty(limits, "messageMemory")
    assert.deepInclude(limitsOfWorker({ messageMemory: 100 }, { number: 2, count: 2 }), { messageMemory: 50 })
  })
})
