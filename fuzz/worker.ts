/** The thread in which inputs are fed. It reports findings, and leaves each input where the main thread finds it after a hang. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { inspect } from "node:util"
import { parentPort, workerData } from "node:worker_threads"
import { Effect, Exit, Scope } from "effect"
import { makeRandom } from "../test/support/random.ts"
import type { Order, Report, Run } from "./campaign.ts"
import type { Outcome, Parser } from "./Fuzzer.ts"
import { fuzzers } from "./fuzzers/index.ts"

/** The most findings that one fuzzer reports: the same fault has many inputs. */
const MAX_FINDINGS = 5

const order = workerData as Order
const report = (message: Report): void => parentPort!.postMessage(message)

/** Called with an error that reached no handler. */
let onStray: (error: unknown) => void = () => {}
process.on("unhandledRejection", (error) => onStray(error))
process.on("uncaughtException", (error) => onStray(error))

/** Another number for each input of each fuzzer. */
const seedOf = (name: string, index: number): number => {
  let hash = order.seed ^ Math.imul(index, 0x9e3779b1)
  for (const character of name) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193)
  return hash >>> 0
}

/** Feeds an input. An error that reaches no handler is a finding, also if the parser then never ends. */
const feed = (parser: Parser, input: Uint8Array): Promise<Outcome> =>
  new Promise((resolve, reject) => {
    onStray = (cause) => reject(new Error("An error reached no handler", { cause }))
    const fed = new Promise<Outcome>((settle) => settle(parser.feed(input)))
    fed.then(resolve, reject)
  })

const share = (input: Uint8Array): void => {
  order.progress[1] = Math.min(input.length, order.input.length)
  order.input.set(input.subarray(0, order.input.length))
  Atomics.add(order.progress, 0, 1)
}

const run = async ({ inputs, millis = 0, name }: Run): Promise<void> => {
  const fuzzer = fuzzers.find((fuzzer) => fuzzer.name === name)!
  report({ _tag: "Begun", fuzzer: name })
  const scope = await Effect.runPromise(Scope.make())
  const parser = await Effect.runPromise(Scope.provide(fuzzer.open, scope))
  const start = performance.now()
  const counts = { value: 0, refusal: 0, findings: 0 }
  const isOver = (index: number): boolean =>
    counts.findings >= MAX_FINDINGS || (inputs === undefined ? performance.now() >= start + millis : index >= inputs)
  for (let index = 0; !isOver(index); index++) {
    const input =
      order.repeat === undefined ? parser.input(makeRandom(seedOf(name, index))) : readFileSync(order.repeat)
    share(input)
    try {
      counts[await feed(parser, input)] += 1
    } catch (error) {
      counts.findings += 1
      mkdirSync(order.findings, { recursive: true })
      const file = join(order.findings, `${name}-${order.seed}-${index}.input`)
      writeFileSync(file, input)
      report({ _tag: "Finding", fuzzer: name, index, file, error: inspect(error, { depth: 5 }).slice(0, 4000) })
    }
    // Timers, sockets and other listeners get their turn.
    if (index % 200 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  report({ _tag: "Ended", fuzzer: name, ...counts, seconds: (performance.now() - start) / 1000 })
  await Effect.runPromise(Scope.close(scope, Exit.void))
}

try {
  for (const each of order.runs) await run(each)
  report({ _tag: "Done" })
} catch (error) {
  report({ _tag: "Failed", error: inspect(error, { depth: 5 }) })
}
