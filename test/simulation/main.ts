/**
 * Runs simulated worlds, a seed each, and stops at the first that fails.
 *
 *   pnpm simulate [--seeds 100] [--from 1] [--events 1000] [--sabotage KIND] [--trace]
 *
 * A failing seed is printed with its problems and a shortened script. `--seeds 1 --from SEED --trace` prints every frame.
 */
import { parseArgs } from "node:util"
import { SABOTAGES, type Sabotage } from "./Sabotage.ts"
import { scriptOf } from "./Script.ts"
import { shrink } from "./shrink.ts"
import { EVENTS, type Result, simulate } from "./simulate.ts"

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
for (let seed = from; seed < from + seeds; seed++) {
  const script = scriptOf(seed, events)
  const result = simulate({ seed, script, ...broken, ...(values.trace && { onTrace: console.log }) })
  for (const key of Object.keys(sums) as Array<keyof typeof sums>) sums[key] += result[key]
  if (result.problems.length > 0) {
    report(result)
    const shorter = shrink(script, (script) => simulate({ seed, script, ...broken }).problems.length > 0)
    console.log(`\n${shorter.length} of ${script.length} events are enough:`)
    for (const event of shorter) console.log(JSON.stringify(event))
    console.log("\nTheir problems:")
    report(simulate({ seed, script: shorter, ...broken }))
    process.exit(1)
  }
  if ((seed - from + 1) % 100 === 0) progress(seed - from + 1)
}
progress(seeds)

function report({ problems, seed }: Result): void {
  console.log(`Seed ${seed} fails:`)
  for (const problem of problems) console.log(`  ${problem}`)
}

function progress(count: number): void {
  const seconds = (performance.now() - begun) / 1000
  const { acknowledged, frames, mistaken, stored } = sums
  console.log(
    `${count} seeds in ${seconds.toFixed(0)} s: ${frames} frames, ${stored} events stored, ${acknowledged} acknowledgements checked, ${mistaken} texts that a client forgot, ${(sums.seconds / 3600).toFixed(1)} simulated hours. No problem.`
  )
}
