/** Runs fuzzers in a thread of their own, so that an input that never ends is noticed and becomes a finding too. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Worker } from "node:worker_threads"

/** One fuzzer's part of a campaign: a number of inputs, or a time. */
export interface Run {
  readonly name: string
  readonly inputs?: number
  readonly millis?: number
}

export interface Order {
  readonly seed: number
  readonly runs: ReadonlyArray<Run>
  /** The folder into which inputs of findings are written. */
  readonly findings: string
  /** A file whose content is the only input. */
  readonly repeat: string | undefined
  /** Shared with the thread: the number of inputs that it began, and the length of the last one. */
  readonly progress: Int32Array
  /** Shared with the thread: the last input. */
  readonly input: Uint8Array
}

export interface Finding {
  readonly fuzzer: string
  readonly index: number
  readonly file: string
  readonly error: string
}

export interface Tally {
  readonly fuzzer: string
  readonly value: number
  readonly refusal: number
  readonly findings: number
  readonly seconds: number
}

export type Report =
  | { readonly _tag: "Begun"; readonly fuzzer: string }
  | ({ readonly _tag: "Finding" } & Finding)
  | ({ readonly _tag: "Ended" } & Tally)
  | { readonly _tag: "Done" }
  /** A fuzzer itself has a fault: it cannot start or make an input. */
  | { readonly _tag: "Failed"; readonly error: string }

export interface Result {
  readonly findings: ReadonlyArray<Finding>
  readonly tallies: ReadonlyArray<Tally>
}

/** The longest that one input, or the start of a fuzzer, may take. An input takes a few milliseconds. */
const MAX_STEP_MILLIS = 30_000
const MAX_INPUT = 4 * 1024 * 1024

export const runCampaign = (
  { findings: folder, repeat, runs, seed }: Pick<Order, "seed" | "runs" | "findings"> & { readonly repeat?: string },
  say: (text: string) => void = () => {}
): Promise<Result> =>
  new Promise((resolve, reject) => {
    const progress = new Int32Array(new SharedArrayBuffer(8))
    const input = new Uint8Array(new SharedArrayBuffer(MAX_INPUT))
    const order: Order = { seed, runs, findings: folder, repeat, progress, input }
    const worker = new Worker(new URL("./worker.ts", import.meta.url), {
      workerData: order,
      // The thread runs the sources of the packages, not their last build.
      execArgv: ["--conditions=@sealog/source"],
      stdout: true,
      stderr: true
    })
    worker.stdout.resume()
    worker.stderr.resume()
    const [findings, tallies]: [Array<Finding>, Array<Tally>] = [[], []]
    let fuzzer = ""
    let [seen, since] = [0, performance.now()]
    const finish = (end: () => void): void => {
      clearInterval(watch)
      worker.removeAllListeners()
      void worker.terminate()
      end()
    }
    const found = (finding: Finding): void => {
      findings.push(finding)
      say(`FINDING in ${finding.fuzzer}, input ${finding.index}, written to ${finding.file}\n${finding.error}\n`)
    }
    /** Ends the campaign at an input after which the thread cannot go on. */
    const giveUp = (error: string): void => {
      mkdirSync(folder, { recursive: true })
      const file = join(folder, `${fuzzer}-${seed}-last.input`)
      writeFileSync(file, input.slice(0, progress[1]))
      found({ fuzzer, index: progress[0]!, file, error })
      finish(() => resolve({ findings, tallies }))
    }
    const watch = setInterval(() => {
      const begun = Atomics.load(progress, 0)
      if (begun !== seen) [seen, since] = [begun, performance.now()]
      if (performance.now() - since >= MAX_STEP_MILLIS) giveUp(`One input takes longer than ${MAX_STEP_MILLIS} ms`)
    }, 1000)
    worker.on("message", (message: Report) => {
      since = performance.now()
      switch (message._tag) {
        case "Begun":
          fuzzer = message.fuzzer
          break
        case "Finding":
          found(message)
          break
        case "Ended":
          tallies.push(message)
          say(describe(message))
          break
        case "Done":
          finish(() => resolve({ findings, tallies }))
          break
        case "Failed":
          finish(() => reject(new Error(`${fuzzer} failed: ${message.error}`)))
      }
    })
    worker.on("error", (error) => finish(() => reject(error)))
    // Also when nothing can happen any more, because a promise of the parser never settles.
    worker.on("exit", (code) => giveUp(`The thread ended with ${code} before the input did`))
  })

const describe = ({ findings, fuzzer, refusal, seconds, value }: Tally): string => {
  const inputs = value + refusal + findings
  const rate = Math.round(inputs / Math.max(seconds, 0.001))
  return `${fuzzer.padEnd(17)} ${String(inputs).padStart(9)} inputs, ${String(rate).padStart(7)}/s, ${value} accepted, ${refusal} refused, ${findings} findings`
}
