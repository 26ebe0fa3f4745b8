import { assert, describe, it } from "@effect/vitest"
import { combineHealth } from "@sealog/server/workers/combinedHealth"

const [ok, damaged] = [{ status: "ok" } as const, { status: "ok", warning: "the log is damaged" } as const]
const unhealthy = { status: "unhealthy", reason: "the storage cannot be read" } as const

describe("the health of a server with workers", () => {
  it("is good when all of them say so", () => {
    assert.deepStrictEqual(
      combineHealth(
        [
          { number: 1, health: ok },
          { number: 2, health: ok }
        ],
        2
      ),
      { status: "ok" }
    )
  })

  it("warns of a worker that has ended, and tells a warning of several workers once", () => {
    const workers = [1, 3].map((number) => ({ number, health: damaged }))
    assert.deepStrictEqual(combineHealth(workers, 3), {
      status: "ok",
      warning: "1 of 3 workers ended, and the server starts them again; the log is damaged"
    })
  })

  it("is bad when a worker is unhealthy or does not answer, or when none runs", () => {
    const reasonOf = (health: typeof unhealthy | undefined) =>
      combineHealth(
        [
          { number: 1, health: ok },
          { number: 2, health }
        ],
        2
      )
    assert.deepStrictEqual(reasonOf(unhealthy), {
      status: "unhealthy",
      reason: "worker 2: the storage cannot be read"
    })
    assert.deepStrictEqual(reasonOf(undefined), { status: "unhealthy", reason: "worker 2 does not answer" })
    assert.strictEqual(combineHealth([], 2).status, "unhealthy")
  })
})
