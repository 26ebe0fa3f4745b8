import { assert, describe, it } from "@effect/vitest"
import { blake2b256, blake2b256InSteps } from "../../src/domain/Blake2b.ts"
import { allAtOnce } from "../../src/domain/Steps.ts"

describe("BLAKE2b-256 in steps", () => {
  it("is the hash of the bytes at once", () => {
    const MB = 1024 * 1024
    for (const length of [0, 1, MB - 1, MB, MB + 1, 3 * MB, 3 * MB + 17]) {
      const bytes = Buffer.alloc(length, "some bytes")
      assert.strictEqual(allAtOnce(blake2b256InSteps(bytes)), blake2b256(bytes))
    }
  })
})
