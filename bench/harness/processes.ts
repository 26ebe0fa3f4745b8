/** Reads the resources that a process has used from /proc; NaN on systems without it. */
import { readdirSync, readFileSync } from "node:fs"
import { sum } from "./statistics.ts"

const TICKS_PER_SECOND = 100

interface Stat {
  readonly parent: number
  /** User and system time of all threads. */
  readonly own: number
  /** That of children that have ended. */
  readonly ended: number
}

const statOf = (pid: number | string): Stat | undefined => {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ").map(Number) ?? []
    const [user = 0, system = 0, childrenUser = 0, childrenSystem = 0] = fields.slice(11)
    return {
      parent: fields[1] ?? 0,
      own: (user + system) / TICKS_PER_SECOND,
      ended: (childrenUser + childrenSystem) / TICKS_PER_SECOND
    }
  } catch {
    return undefined
  }
}

/** User and system time of all threads, in seconds. */
export const cpuSeconds = (pid: number): number => statOf(pid)?.own ?? Number.NaN

/** That of a process and its children, with those that have ended. */
export const cpuSecondsOfTree = (pid: number): number => {
  const root = statOf(pid)
  if (root === undefined) return Number.NaN
  const all = readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? (statOf(name) ?? []) : []))
  return root.own + root.ended + sum(all.filter(({ parent }) => parent === pid).map(({ own }) => own))
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
