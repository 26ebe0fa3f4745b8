/** A library's content is made once for all users who see the same, and shown to no other user. */
import { assert, describe, it } from "@effect/vitest"
import { HashMap } from "effect"
import { allAtOnce } from "../../../src/domain/Steps.ts"
import { ReplicaId } from "../../../src/domain/verdant/Events.ts"
import { Oid } from "../../../src/domain/verdant/model/Oid.ts"
import { outlineOf } from "../../../src/domain/verdant/model/PatchOutline.ts"
import type { StoredOperation } from "../../../src/domain/verdant/model/StoredItems.ts"
import { Timestamp } from "../../../src/domain/verdant/model/Timestamp.ts"
import type { LibraryState } from "../../../src/domain/verdant/State.ts"
import type { Batch } from "../../../src/domain/verdant/UnfoldedBatches.ts"
import { everythingFor, rebroadcastOf } from "../../../src/protocols/verdant/LibraryContent.ts"
import { syncResponse } from "../../../src/protocols/verdant/Wire.ts"

const replicaId = ReplicaId.make("replica")
const operation = (id: number, owner: string | null): StoredOperation => {
  const [oid, timestamp] = [
    Oid.make(`item/${id}`),
    Timestamp.make(`0001aaaaaa${String(id).padStart(3, "0")}0000nodenod`)
  ]
  const patch = { op: "set", name: "content", value: id } as const
  return {
    oid,
    timestamp,
    patch,
    outline: outlineOf(patch),
    authz: undefined,
    owner,
    version: 1,
    replicaId,
    text: JSON.stringify({ oid, timestamp, data: patch }),
    files: []
  }
}
const batchOf = (...operations: ReadonlyArray<StoredOperation>): Batch => ({
  ...{ version: 1, replicaId, operations, baselines: [] }
})

describe("the message with another replica's operations", () => {
  it("is one message and one frame for all users", () => {
    const batch = batchOf(operation(1, null), operation(2, null))
    const told = ["ada", "bob", "cyd"].map((user) => rebroadcastOf(batch, user, undefined))
    assert.strictEqual(new Set(told).size, 1)
    assert.strictEqual(new Set(told.map((message) => message?.frame)).size, 1)
    assert.lengthOf(JSON.parse(told[0]?.text ?? "").operations, 2)
  })

  it.each([
    ["the owner is sent it first", ["ada", "bob", "ada"]],
    ["another user is sent it first", ["bob", "ada", "bob"]]
  ] as const)("holds what its receiver may see, when %s", (_, users) => {
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

describe("the watermark that rose with another replica's operations", () => {
  const watermark = "0001aaaaaa0000000nodenod"
  const isNamed = (batch: Batch, heard: string | undefined) =>
    rebroadcastOf(batch, "ada", heard)?.text.includes(`"globalAckTimestamp":"${watermark}"`)

  it.each([
    ["a client that may hear it is told first", [watermark, undefined, watermark, undefined]],
    ["a client that may not hear it is told first", [undefined, watermark, undefined, watermark]]
  ])("is named to the clients that may hear it alone, when %s", (_, told) => {
    const batch = batchOf(operation(1, null))
    for (const heard of told) assert.strictEqual(isNamed(batch, heard), heard !== undefined)
  })

  it("does not hinder that the message is one for all who hear it, and one for all others", () => {
    const batch = batchOf(operation(1, null))
    const told = [undefined, watermark, undefined, watermark].map((heard) => rebroadcastOf(batch, "ada", heard))
    assert.strictEqual(new Set(told).size, 2)
  })
})

describe("the content of a reset", () => {
  const libraryOf = (...operations: ReadonlyArray<StoredOperation>) =>
    ({ entities: HashMap.make(["item/1", { baseline: undefined, operations }]) }) as unknown as LibraryState

  const answerTo = (state: LibraryState, userId: string) =>
    syncResponse({
      ...allAtOnce(everythingFor(state, userId)),
      ...{ overwrite: true, watermark: undefined, ackedTimestamp: null, nonce: userId },
      peerPresence: {}
    })

  it("is encoded once for all users, and is in each of their frames", () => {
    const state = libraryOf(...Array.from({ length: 1000 }, (_, i) => operation(i, null)))
    const answers = ["ada", "bob"].map((userId) => answerTo(state, userId))
    const [first, second] = answers.map(({ pieces }) => pieces.filter((piece) => piece.length > 10_000))
    assert.strictEqual(first?.[0], second?.[0])
    for (const [i, { pieces, frame, text }] of answers.entries()) {
      assert.isTrue(Buffer.concat(pieces).equals(frame))
      const { ackThisNonce, operations } = JSON.parse(text)
      assert.deepStrictEqual([ackThisNonce, operations.length], [["ada", "bob"][i], 1000])
    }
  })

  it("holds what its receiver may see, when a document is private", () => {
    const state = libraryOf(operation(1, null), operation(2, "ada"))
    for (const [userId, count] of [
      ["ada", 2],
      ["bob", 1],
      ["ada", 2]
    ] as const) {
      assert.lengthOf(JSON.parse(answerTo(state, userId).text).operations, count)
    }
  })
})
