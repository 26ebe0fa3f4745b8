/**
 * Runs simulated worlds, a seed each, on a thread for each core, and stops at the first that fails.
 *
 *   pnpm simulate [--seeds 100] [--from 1] [--events 250] [--sabotage KIND] [--trace]
 *
 * A failing seed is printed with its problems and a shortened script. `--seeds 1 --from SEED --trace` prints every frame.
 */
import { parseArgs } from "node:util"
import { SABOTAGES, type Sabotage } from "./Sabotage.ts"
import { scriptOf } from "./Script.ts"
import { shrink } from "./shrink.ts"
import { EVENTS, type Result, simulate } from "./simulate.ts"
import { simulateAll } from "./simulateAll.ts"

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    from: { type: "string", default: "1" },
    events: { type: "string", default: String(EVENTS) },
    sabotage: { type: "string" },
    trace: { type: "boolean", default: false }
  }
})

const [seeds, from, events] = [Number(values.seeds), Number(values.from), Number(values.events)]
const isKnown = values.sabotage === undefined || (SABOTAGES as ReadonlyArray<string>).includes(values.sabotage)
if (!(seeds >= 1 && Number.isSafeInteger(from) && events >= 1) || !isKnown) {
  console.error(
    isKnown
      ? "--seeds, --from and --events take whole numbers; there is at least one seed and one event."
      : `There is no sabotage ${values.sabotage}. Try: ${SABOTAGES.join(", ")}.`
  )
  process.exit(2)
}
const broken = values.sabotage === undefined ? {} : { sabotage: values.sabotage as Sabotage }

const begun = performance.now()
const sums = { frames: 0, stored: 0, acknowledged: 0, mistaken: 0, seconds: 0 }
let count = 0
let failed: Result | undefined
await simulateAll({ seeds, from, events, isTraced: values.trace, ...broken }, (result) => {
  for (const key of Object.keys(sums) as Array<keyof typeof sums>) sums[key] += result[key]
  count += 1
  if (result.problems.length > 0) failed ??= result
  else if (count % 100 === 0 && count < seeds) progress()
  return failed === undefined
})
if (failed !== undefined) {
  const { seed } = failed
  report(failed)
  const script = scriptOf(seed, events)
  const shorter = shrink(script, (script) => simulate({ seed, script, ...broken }).problems.length > 0)
  console.log(`\n${shorter.length} of ${script.length} events are enough:`)
  for (const event of shorter) console.log(JSON.stringify(event))
  console.log("\nTheir problems:")
  report(simulate({ seed, script: shorter, ...broken }))
  process.exit(1)
}
progress()

function report({ problems, seed }: Result): void {
  console.log(`Seed ${seed} fails:`)
  for (const problem of problems) console.log(`  ${problem}`)
}

function progress(): void {
  const seconds = (performance.now() - begun) / 1000
  const { acknowledged, frames, mistaken, stored } = sums
  console.log(
    `${count} seeds in ${seconds.toFixed(0)} s: ${frames} frames, ${stored} events stored, ${acknowledged} acknowledgements checked, ${mistaken} texts that a client forgot, ${(sums.seconds / 3600).toFixed(1)} simulated hours. No problem.`
  )
}
