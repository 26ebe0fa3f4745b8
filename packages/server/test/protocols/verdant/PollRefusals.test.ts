/** The count of refused messages in polls: one for each user of each library, and of few users at a time. */
import { assert, describe, it } from "@effect/vitest"
import { PollRefusals } from "../../../src/protocols/verdant/PollRefusals.ts"

const ada = { libraryId: "notes", userId: "ada" }

describe("refused messages in polls", () => {
  const spent = () => {
    const refusals = new PollRefusals({ perSecond: 10, burst: 2 })
    assert.deepStrictEqual(
      [1, 2, 3].map(() => refusals.take(ada, 0)),
      [true, true, false]
    )
    return refusals
  }

  it("of one user leave the polls of others, and of the same id in another library, as they are", () => {
    const refusals = spent()
    assert.isTrue(refusals.take({ ...ada, userId: "eve" }, 0))
    assert.isTrue(refusals.take({ ...ada, libraryId: "photos" }, 0))
    assert.isFalse(refusals.take(ada, 0))
  })

  it("are forgiven one by one", () => {
    const refusals = spent()
    assert.isTrue(refusals.take(ada, 100))
    assert.isFalse(refusals.take(ada, 100))
  })

  it("are remembered of 10,000 users", () => {
    const refusals = spent()
    const others = (count: number) => {
      for (let i = 0; i < count; i++) refusals.take({ ...ada, userId: `user ${i}` }, 0)
    }
    others(9999)
    assert.isFalse(refusals.take(ada, 0))
    others(10_000)
    assert.isTrue(refusals.take(ada, 0))
  })
})
