/** What is told of a Verdant library is made once for all who see the same, and not shown to anybody else. */
import { assert, describe, it } from "@effect/vitest"
import type { Batch } from "../src/domain/verdant/Batches.ts"
import { ReplicaId } from "../src/domain/verdant/Events.ts"
import type { StoredOperation } from "../src/domain/verdant/Items.ts"
import { Oid } from "../src/domain/verdant/Oid.ts"
import { Timestamp } from "../src/domain/verdant/Timestamp.ts"
import { rebroadcastOf } from "../src/protocols/verdant/Answers.ts"

const replicaId = ReplicaId.make("replica")
const operation = (id: number, owner: string | null): StoredOperation => {
  const [oid, timestamp] = [Oid.make(`item/${id}`), Timestamp.make(`0001aaaaaaaa${id}0000nodenod`)]
  const patch = { op: "set", name: "content", value: id } as const
  return {
    oid,
    timestamp,
    patch,
    authz: undefined,
    owner,
    version: 1,
    replicaId,
    text: JSON.stringify({ oid, timestamp, data: patch })
  }
}
const batchOf = (...operations: ReadonlyArray<StoredOperation>): Batch => ({
  ...{ version: 1, replicaId, operations, baselines: [] }
})

describe("what others are told of operations", () => {
  it("is one message and one frame for all", () => {
    const batch = batchOf(operation(1, null), operation(2, null))
    const told = ["ada", "bob", "cyd"].map((user) => rebroadcastOf(batch, user, undefined))
    assert.strictEqual(new Set(told).size, 1)
    assert.strictEqual(new Set(told.map((message) => message?.frame)).size, 1)
    assert.lengthOf(JSON.parse(told[0]?.text ?? "").operations, 2)
  })

  it.each([
    ["an owner is asked for first", ["ada", "bob", "ada"]],
    ["somebody else is", ["bob", "ada", "bob"]]
  ] as const)("is to everybody what that one may see, when %s", (_, users) => {
    const batch = batchOf(operation(1, null), operation(2, "ada"))
    for (const user of users) {
      const { operations } = JSON.parse(rebroadcastOf(batch, user, undefined)?.text ?? "")
      assert.lengthOf(operations, user === "ada" ? 2 : 1)
    }
    const secret = batchOf(operation(3, "ada"))
    assert.isUndefined(rebroadcastOf(secret, "bob", undefined))
    assert.isDefined(rebroadcastOf(secret, "ada", undefined))
  })
})
