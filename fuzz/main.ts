/**
 * Feeds changed and generated inputs to every parser, and reports every end that the parser does not declare.
 *
 *   pnpm fuzz [fuzzer …] [--minutes 1] [--seed S]
 *   pnpm fuzz FUZZER --repeat FILE
 *
 * A seed repeats the inputs, except those of fuzzers that sign and mint: `--repeat` takes the file of a finding.
 */
import { join } from "node:path"
import { parseArgs } from "node:util"
import { freshSeed } from "../test/support/random.ts"
import { runCampaign } from "./campaign.ts"
import { fuzzers } from "./fuzzers/index.ts"

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { minutes: { type: "string", default: "1" }, seed: { type: "string" }, repeat: { type: "string" } }
})

const names = fuzzers.map(({ name }) => name)
const unknown = positionals.filter((name) => !names.includes(name))
const minutes = Number(values.minutes)
if (unknown.length > 0 || !(minutes > 0) || (values.repeat !== undefined && positionals.length !== 1)) {
  console.error(
    unknown.length > 0
      ? `There is no fuzzer ${unknown.join(", ")}. Try: ${names.join(", ")}.`
      : "--minutes takes a number above 0, and --repeat the name of one fuzzer."
  )
  process.exit(2)
}

const seed = Number(values.seed ?? freshSeed())
const chosen = positionals.length > 0 ? positionals : names
const millis = (minutes * 60_000) / chosen.length
console.log(`Seed ${seed}, ${minutes} minutes for ${chosen.length} fuzzers`)
const { findings, tallies } = await runCampaign(
  {
    seed,
    runs: chosen.map((name) => (values.repeat === undefined ? { name, millis } : { name, inputs: 1 })),
    findings: join(import.meta.dirname, "findings"),
    ...(values.repeat === undefined ? {} : { repeat: values.repeat })
  },
  console.log
)
const inputs = tallies.reduce((sum, { findings, refusal, value }) => sum + value + refusal + findings, 0)
console.log(`${inputs} inputs, ${findings.length} findings, seed ${seed}`)
process.exit(findings.length > 0 ? 1 : 0)
