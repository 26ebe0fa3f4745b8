/** The events of a simulation: what users do and what goes wrong, and when. A seed makes the same script each time. */
import { makeRandom, type Random } from "../support/random.ts"

/** The size of a world and the settings of its servers. */
export interface Setting {
  readonly processes: number
  readonly documents: number
  /** Devices on each document. */
  readonly secsyncDevices: number
  readonly verdantDevices: number
  readonly maxUpdatesPerSnapshot: number | undefined
  readonly foldAfter: number
  /** Whether tasks that are ready run in any order. */
  readonly isShuffled: boolean
}

/** `device` and `process` are numbers that are taken modulo their count. Times are milliseconds. */
export type Happening =
  | { readonly _tag: "Write"; readonly device: number; readonly changes: number }
  | { readonly _tag: "Snapshot"; readonly device: number }
  | { readonly _tag: "Offline"; readonly device: number; readonly lasts: number }
  | { readonly _tag: "CutDevice"; readonly device: number }
  | { readonly _tag: "CutProcess"; readonly process: number }
  | { readonly _tag: "Crash"; readonly process: number; readonly lasts: number }
  | { readonly _tag: "LogDown"; readonly process: number; readonly lasts: number }
  | { readonly _tag: "LogFails"; readonly process: number; readonly lasts: number; readonly perThousand: number }
  | { readonly _tag: "LogSlow"; readonly process: number; readonly lasts: number; readonly latency: number }
  | { readonly _tag: "SignalsLost"; readonly lasts: number; readonly perThousand: number }
  | { readonly _tag: "SignalsCut"; readonly process: number }
  | { readonly _tag: "ClockLeaps"; readonly process: number; readonly ahead: number }

export interface ScriptEvent {
  /** Milliseconds since the beginning. */
  readonly at: number
  readonly happening: Happening
}

export const settingOf = (seed: number): Setting => {
  const { next } = makeRandom(seed ^ 0x5e77)
  return {
    processes: 1 + next(3),
    documents: 1 + next(2),
    secsyncDevices: 2 + next(3),
    verdantDevices: next(5) === 0 ? 0 : 2 + next(3),
    maxUpdatesPerSnapshot: next(2) === 0 ? undefined : 5 + next(40),
    foldAfter: 5 + next(60),
    isShuffled: next(2) === 0
  }
}

export const scriptOf = (seed: number, events: number): ReadonlyArray<ScriptEvent> => {
  const random = makeRandom(seed ^ 0x5c419)
  // Some worlds are busy, and some have time between the events.
  const pace = 1 + random.next(60)
  const script: Array<ScriptEvent> = []
  let at = 0
  while (script.length < events) {
    at += random.next(40) === 0 ? random.next(4000) : random.next(pace)
    script.push({ at, happening: happeningOf(random) })
  }
  return script
}

const happeningOf = ({ next }: Random): Happening => {
  const [device, process] = [next(1000), next(1000)]
  const chance = next(1000)
  if (chance < 860) return { _tag: "Write", device, changes: next(12) === 0 ? 1 + next(8) : 1 }
  if (chance < 880) return { _tag: "Snapshot", device }
  if (chance < 910) return { _tag: "Offline", device, lasts: next(6000) }
  if (chance < 940) return { _tag: "CutDevice", device }
  if (chance < 945) return { _tag: "CutProcess", process }
  if (chance < 953) return { _tag: "Crash", process, lasts: next(3000) }
  if (chance < 960) return { _tag: "LogDown", process, lasts: next(1500) }
  if (chance < 970) return { _tag: "LogFails", process, lasts: next(5000), perThousand: next(200) }
  if (chance < 980) return { _tag: "LogSlow", process, lasts: next(5000), latency: next(400) }
  if (chance < 988) return { _tag: "SignalsLost", lasts: next(8000), perThousand: next(1000) }
  if (chance < 994) return { _tag: "SignalsCut", process }
  return { _tag: "ClockLeaps", process, ahead: next(4000) - 2000 }
}
