/** The frames of one document share the bytes of its snapshot, whatever each client already has. */
import { assert, describe, it } from "@effect/vitest"
import { contentFrame } from "../../../src/protocols/secsync/Wire.ts"

const LARGE = 1_000_000

describe("frames of a document with a large snapshot", () => {
  it("share its bytes, with and without a proof chain", () => {
    const snapshot = Buffer.from(JSON.stringify("x".repeat(LARGE)))
    const updates = [Buffer.from('"a"'), Buffer.from('"b"')]
    const frames = [
      contentFrame("document", { snapshot, updates }),
      contentFrame("document", { snapshot, updates, proofChain: [] }),
      contentFrame("snapshot-save-failed", { snapshot, updates: [] })
    ]
    for (const pieces of frames) {
      assert.include(pieces, snapshot)
      assert.isBelow(Buffer.concat(pieces).length - snapshot.length, 200)
    }
    const [header, ...rest] = frames[1]!
    const text = Buffer.concat([header!.subarray(10), ...rest]).toString()
    assert.deepStrictEqual(JSON.parse(text), {
      type: "document",
      snapshot: "x".repeat(LARGE),
      updates: ["a", "b"],
      snapshotProofChain: []
    })
  })
})
