/** Every parser gets a bounded number of hostile inputs. `pnpm fuzz` runs the same for as long as one likes. */
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { runCampaign } from "../fuzz/campaign.ts"
import { fuzzers } from "../fuzz/fuzzers/index.ts"
import { freshSeed } from "./support/random.ts"

it.live("every parser ends each hostile input with a value or a declared refusal", () =>
  Effect.gen(function* () {
    const seed = freshSeed()
    console.log(`TEST_SEED=${seed}`)
    const runs = fuzzers.map(({ inputs, name }) => ({ name, inputs }))
    const folder = join(tmpdir(), "sealog-fuzz-findings")
    const { findings, tallies } = yield* Effect.promise(() =>
      runCampaign({ seed, runs, findings: folder }, console.log)
    )
    assert.deepStrictEqual(findings, [], `TEST_SEED=${seed}`)
    assert.lengthOf(tallies, fuzzers.length)
    for (const { fuzzer, value } of tallies) assert.isAbove(value, 0, `${fuzzer} accepts some of its inputs`)
  })
)
