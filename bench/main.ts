/**
 * Measures the server, beside other servers where there are any. Variants take turns on one machine.
 *
 *   pnpm bench [scenario …] [--rounds 5] [--seconds 3] [--storage sqlite --storage postgres] [--save-baseline]
 */
import { parseArgs } from "node:util"
import { report } from "./harness/report.ts"
import type { Bench, Scenario } from "./harness/scenario.ts"
import type { Storage } from "./harness/servers.ts"

const SCENARIOS = [
  "signatures",
  "updates",
  "peers",
  "fanout",
  "joins",
  "loading",
  "idle",
  "ephemeral",
  "growth",
  "touch",
  "administration",
  "disk",
  "replay",
  "profile",
  "startup",
  "verdant",
  "verdantLibrary"
] as const

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "3" },
    storage: { type: "string", multiple: true, default: ["sqlite", "postgres"] },
    "save-baseline": { type: "boolean", default: false }
  }
})

const unknown = positionals.filter((name) => !SCENARIOS.some((scenario) => scenario === name))
if (unknown.length > 0) {
  console.error(`There is no scenario ${unknown.join(", ")}. Try: ${SCENARIOS.join(", ")}.`)
  process.exit(2)
}

const bench: Bench = {
  rounds: Number(values.rounds),
  seconds: Number(values.seconds),
  storages: values.storage as ReadonlyArray<Storage>,
  say: (text) => void process.stderr.write(`${text}\n`)
}

for (const name of positionals.length > 0 ? positionals : SCENARIOS) {
  const { scenario }: { readonly scenario: Scenario } = await import(`./scenarios/${name}.ts`)
  const rows = await scenario.run(bench)
  const { rounds, seconds } = bench
  report({ scenario: name, ...scenario, rounds, seconds, rows }, { saveBaseline: values["save-baseline"] })
}
process.exit(0)
