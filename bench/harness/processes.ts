/** What a process has used, as /proc tells; NaN where there is none. */
import { readFileSync } from "node:fs"

const TICKS_PER_SECOND = 100

/** Processor time, user and system, all threads. */
export const cpuSeconds = (pid: number): number => {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? []
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
  } catch {
    return Number.NaN
  }
}

const statusOf = (pid: number, name: string): number => {
  try {
    const line = readFileSync(`/proc/${pid}/status`, "utf8").match(new RegExp(`^${name}:\\s+(\\d+) kB`, "m"))
    return Number(line?.[1]) * 1024
  } catch {
    return Number.NaN
  }
}

/** Bytes in memory now, and the most there have ever been. */
export const rssBytes = (pid: number): number => statusOf(pid, "VmRSS")
export const peakRssBytes = (pid: number): number => statusOf(pid, "VmHWM")
