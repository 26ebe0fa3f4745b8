/** The payloads that the retention rule lets an operator prune. */
import { assert, describe, it } from "@effect/vitest"
import { EVICTED, type StreamEvent } from "../../../src/domain/Stream.ts"
import { makePruning, type PruningRule } from "../../../src/domain/secsync/Retention.ts"

/** Applies a rule to a stream. S: a snapshot, u: an update, E: an eviction; each is recorded at its version. */
const before = (stream: string, rule: Partial<PruningRule> = {}): number => {
  const pruning = makePruning({ keepSnapshots: 1, recordedUntil: Number.POSITIVE_INFINITY, ...rule })
  for (const [i, letter] of [...stream].entries()) {
    pruning.see({
      type: letter === "E" ? EVICTED : letter === "S" ? "SnapshotStored" : "UpdateStored",
      checkpoint: letter !== "u",
      version: i + 1,
      recordedAt: i + 1
    } as StreamEvent)
  }
  return pruning.before()
}

describe("the retention rule", () => {
  it("prunes the events before the newest snapshot", () => {
    assert.strictEqual(before(""), 0)
    assert.strictEqual(before("uu"), 0)
    assert.strictEqual(before("Suu"), 1)
    assert.strictEqual(before("SuuSu"), 4)
    assert.strictEqual(before("SSS"), 3)
  })

  it("keeps `keepSnapshots` snapshots with their updates", () => {
    assert.strictEqual(before("SuSuSu", { keepSnapshots: 2 }), 3)
    assert.strictEqual(before("SuSuSu", { keepSnapshots: 3 }), 1)
    assert.strictEqual(before("SuSuSu", { keepSnapshots: 4 }), 0)
  })

  it("keeps events that were recorded after `recordedUntil`", () => {
    assert.strictEqual(before("SuSuSu", { recordedUntil: 2 }), 3)
    assert.strictEqual(before("SuSuSu", { recordedUntil: 0 }), 1)
    assert.strictEqual(before("SuSuSu", { recordedUntil: 100 }), 5)
  })

  it("counts only the snapshots after an eviction", () => {
    assert.strictEqual(before("SuSE"), 0)
    assert.strictEqual(before("SuSEuS"), 6)
    assert.strictEqual(before("SuSES", { keepSnapshots: 2 }), 0)
  })
})
