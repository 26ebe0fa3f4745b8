/** Worlds of the simulation, a seed each. `pnpm simulate` runs more of them. */
import { assert, describe, it } from "vitest"
import { SABOTAGES } from "./Sabotage.ts"
import { scriptOf } from "./Script.ts"
import { shrink } from "./shrink.ts"
import { EVENTS, type Result, simulate } from "./simulate.ts"
import { simulateAll } from "./simulateAll.ts"

/** Worlds of one run. */
const SEEDS = 1000
/** Worlds of a longer history, in which more snapshots and compactions follow each other, and the length of their scripts. */
const [LONG_SEEDS, LONG] = [25, 1000]
/** The first of them. The same in each run, so that a change that breaks one is seen at once. */
const FROM = Number(process.env["TEST_SEED"] ?? 1)
/** Many times what they take, for a machine that is busy with other tests. */
const TIMEOUT = 1_200_000

/** Worlds within which a sabotage must be found. */
const SEEDS_OF_SABOTAGE = 12

const holds = async (seeds: number, events: number): Promise<void> => {
  let failed: Result | undefined
  await simulateAll({ seeds, from: FROM, events, isTraced: false }, (result) => {
    if (result.problems.length > 0) failed ??= result
    return failed === undefined
  })
  if (failed === undefined) return
  const { problems, seed } = failed
  const shorter = shrink(scriptOf(seed, events), (script) => simulate({ seed, script }).problems.length > 0)
  assert.fail(
    `Seed ${seed} fails (pnpm simulate --seeds 1 --from ${seed} --events ${events}):\n${problems.join("\n")}\n` +
      `${shorter.length} events are enough:\n${shorter.map((event) => JSON.stringify(event)).join("\n")}`
  )
}

const traceOf = (seed: number): ReadonlyArray<string> => {
  const trace: Array<string> = []
  simulate({ seed, onTrace: (line) => trace.push(line) })
  return trace
}

describe("a simulated world", () => {
  it(
    "loses, doubles and reorders nothing that was acknowledged, and all its devices end up equal",
    () => holds(SEEDS, EVENTS),
    TIMEOUT
  )

  it("does so for a long time", () => holds(LONG_SEEDS, LONG), TIMEOUT)

  it("settles although a replica that never synced before is acknowledged up to five seconds before its sync", () => {
    const script: ReturnType<typeof scriptOf> = [
      { at: 9, happening: { _tag: "Write", device: 278, changes: 5 } },
      { at: 16, happening: { _tag: "Crash", process: 418, lasts: 191 } }
    ]
    assert.deepStrictEqual(simulate({ seed: 136, script }).problems, [])
  })

  it("is the same in two runs of one seed, frame by frame", () => {
    for (const seed of [1, 2]) {
      const trace = traceOf(seed)
      assert.isAbove(trace.length, EVENTS)
      assert.deepStrictEqual(traceOf(seed), trace)
    }
  })

  it("is another one with another seed", () => {
    assert.notDeepEqual(traceOf(1), traceOf(2))
  })
})

describe("the simulation finds that", () => {
  for (const sabotage of SABOTAGES) {
    it(sabotage, () => {
      const seeds = Array.from({ length: SEEDS_OF_SABOTAGE }, (_, i) => i + 1)
      const isFound = (seed: number) => simulate({ seed, script: scriptOf(seed, 300), sabotage }).problems.length > 0
      assert.isTrue(seeds.some(isFound))
    })
  }
})

describe("a failing script", () => {
  it("is shortened to the events that it takes to fail", () => {
    const script = Array.from({ length: 1000 }, (_, i) => i)
    const fails = (kept: ReadonlyArray<number>) => kept.includes(17) && kept.includes(800)
    assert.deepStrictEqual(shrink(script, fails), [17, 800])
  })

  it("of a sabotaged world stays a failing one when it is shortened", () => {
    const [sabotage] = SABOTAGES
    const fails = (script: ReturnType<typeof scriptOf>) => simulate({ seed: 1, script, sabotage }).problems.length > 0
    const shorter = shrink(scriptOf(1, 100), fails)
    assert.isBelow(shorter.length, 10)
    assert.isTrue(fails(shorter))
  })
})
