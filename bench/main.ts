/**
 * Measures the server, beside other servers where there are any. Variants and builds take turns on one machine.
 *
 *   pnpm bench [scenario …] [--rounds 5] [--seconds 3] [--storage sqlite --storage postgres] [--only 'documents=50 inFlight=1']
 *              [--compare REVISION | --save-baseline]
 */
import { parseArgs } from "node:util"
import { buildOf } from "./harness/builds.ts"
import { keep, print, printComparison, type Report, type Row, saveBaseline } from "./harness/report.ts"
import type { Bench, Scenario } from "./harness/scenario.ts"
import { type Storage, useBuild } from "./harness/servers.ts"

const SCENARIOS = [
  "signatures",
  "appends",
  "ladder",
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
    only: { type: "string", default: "" },
    compare: { type: "string" },
    "save-baseline": { type: "boolean", default: false }
  }
})

const refuse = (message: string): never => {
  console.error(message)
  process.exit(2)
}

const unknown = positionals.filter((name) => !SCENARIOS.some((scenario) => scenario === name))
if (unknown.length > 0) refuse(`There is no scenario ${unknown.join(", ")}. Try: ${SCENARIOS.join(", ")}.`)
const [rounds, seconds] = [Number(values.rounds), Number(values.seconds)]
if (!(rounds >= 1 && seconds > 0)) refuse("--rounds and --seconds are numbers above zero.")
if (values["save-baseline"] && (values.only !== "" || values.compare !== undefined)) {
  refuse("A baseline has all variants of this build: --save-baseline goes with neither --only nor --compare.")
}

const bench: Bench = {
  seconds,
  storages: values.storage as ReadonlyArray<Storage>,
  only: Object.fromEntries(
    values.only
      .split(" ")
      .filter((text) => text !== "")
      .map((text) => text.split("=") as [string, string])
  ),
  say: (text) => void process.stderr.write(`${text}\n`)
}

/** The builds that are measured: this one, and the one to compare with. */
const builds = [
  { name: "", folder: "." },
  ...(values.compare === undefined ? [] : [{ name: values.compare, folder: buildOf(values.compare) }])
]

for (const name of positionals.length > 0 ? positionals : SCENARIOS) {
  const { scenario }: { readonly scenario: Scenario } = await import(`./scenarios/${name}.ts`)
  const measured = builds.map((build) => {
    const done: Array<ReadonlyArray<Row>> = []
    const report: Report = { scenario: name, title: scenario.title, keys: scenario.keys, seconds, rounds: done }
    return { ...build, done, report, rounds: scenario.rounds(bench) }
  })
  for (let round = 1; round <= rounds; round++) {
    for (const build of measured) {
      bench.say(`\n${name}, round ${round} of ${rounds}, ${build.name === "" ? "this build" : build.name}`)
      useBuild(build.folder)
      build.done.push((await build.rounds.next()).value)
      keep(build.report, build.name)
    }
  }
  for (const build of measured) await build.rounds.return(undefined)
  const [own, other] = measured
  if (other === undefined) print(own!.report)
  else printComparison(own!.report, other.report, values.compare!)
  if (values["save-baseline"]) saveBaseline(own!.report)
  for (const { name, report } of measured) console.log(`\nKept in ${keep(report, name)}.`)
}
process.exit(0)
