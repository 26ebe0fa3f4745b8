/** The memory of the server processes over time, in MiB. */
import { readFileSync } from "node:fs"

const residentMiB = (pid: number): number => {
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? Number.NaN) / 1024
  } catch {
    return Number.NaN
  }
}

export class Memory {
  private readonly samples: Array<{ readonly at: number; readonly mib: number }> = []

  /** `at`: from 0, the beginning, to 1, the end. */
  look(at: number, pids: ReadonlyArray<number>): void {
    const mib = pids.map(residentMiB)
    if (mib.every(Number.isFinite)) this.samples.push({ at, mib: mib.reduce((sum, of) => sum + of, 0) })
  }

  /** The mean of the middle third and of the last. */
  get thirds(): { readonly middle: number; readonly last: number } {
    const meanOf = (from: number, to: number) => {
      const within = this.samples.filter(({ at }) => at >= from && at < to)
      return within.reduce((sum, { mib }) => sum + mib, 0) / within.length
    }
    return { middle: meanOf(1 / 3, 2 / 3), last: meanOf(2 / 3, Number.POSITIVE_INFINITY) }
  }
}
