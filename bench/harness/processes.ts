/** Reads the resources that a process has used from /proc; NaN on systems without it. */
import { readFileSync } from "node:fs"

const TICKS_PER_SECOND = 100

/** User and system time of all threads, in seconds. */
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

/** Resident memory in bytes: now, and at its peak. */
export const rssBytes = (pid: number): number => statusOf(pid, "VmRSS")
export const peakRssBytes = (pid: number): number => statusOf(pid, "VmHWM")
