/**
 * Runs one load in a process of its own. Prints `ready` once it has connected and signed everything, waits for a line on
 * stdin, and prints its figures as one line of JSON.
 *
 *   node bench/load.ts <kind> '<options as JSON>'
 */
import { once } from "node:events"

const [kind = "", options = "{}"] = process.argv.slice(2)
const { prepare } = await import(`./loads/${kind}.ts`)
const run: () => Promise<object> = await prepare(JSON.parse(options))
console.log("ready")
await once(process.stdin, "data")
const before = process.cpuUsage()
const result = await run()
const { system, user } = process.cpuUsage(before)
process.stdout.write(`${JSON.stringify({ ...result, loadCpuSeconds: (user + system) / 1e6 })}\n`, () => process.exit(0))
