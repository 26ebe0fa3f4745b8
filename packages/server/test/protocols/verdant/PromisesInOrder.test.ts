import { assert, describe, it } from "@effect/vitest"
import { ReplicaId } from "../../../src/domain/verdant/Events.ts"
import { PromisesInOrder } from "../../../src/protocols/verdant/PromisesInOrder.ts"

const replica = ReplicaId.make("replica")

const make = () => {
  const made: Array<string> = []
  return { made, promises: new PromisesInOrder((_, timestamp) => made.push(timestamp)) }
}

describe("a promise of a replica", () => {
  it("holds at once while nothing is in flight", () => {
    const { made, promises } = make()
    promises.make(replica, "a")
    assert.deepStrictEqual(made, ["a"])
  })

  it("holds once the operations before it are stored, and does not wait for those after it", () => {
    const { made, promises } = make()
    promises.begin()
    promises.begin()
    promises.make(replica, "b")
    promises.begin()
    promises.make(replica, "c")
    promises.end(true)
    assert.deepStrictEqual(made, [])
    promises.end(true)
    assert.deepStrictEqual(made, ["b"])
    promises.end(true)
    assert.deepStrictEqual(made, ["b", "c"])
  })

  it("does not hold if operations before it are not stored: they come again", () => {
    const { made, promises } = make()
    promises.begin()
    promises.make(replica, "b")
    promises.end(false)
    promises.make(replica, "c")
    assert.deepStrictEqual(made, ["c"])
  })

  it("is one promise for several in a row, and no more than a bounded number waits", () => {
    const { made, promises } = make()
    promises.begin()
    for (const timestamp of ["a", "c", "b"]) promises.make(replica, timestamp)
    for (let i = 0; i < 5000; i++) promises.make(ReplicaId.make(`replica-${i}`), "d")
    promises.end(true)
    assert.strictEqual(made[0], "c")
    assert.isBelow(made.length, 1001)
  })
})
