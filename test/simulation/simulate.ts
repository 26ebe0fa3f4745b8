/**
 * Runs one simulated world from a seed: server processes on one log, devices of both protocols, and a script of writes and
 * faults. When the script is over, the faults stop and every device comes back. Then nothing that was acknowledged may be
 * lost, stored twice or out of order; all devices and a newcomer must hold the same; and the log must replay clean.
 */
import { layerMemory } from "@sealog/server/adapters/MemoryEventLog"
import { replay } from "@sealog/server/admin/Replay"
import { EventLog } from "@sealog/server/ports/EventLog"
import { Signatures } from "@sealog/server/signatures/Signatures"
import { Context, Deferred, Effect, Exit, Layer } from "effect"
import { makeRandom } from "../support/random.ts"
import type { Device, WorldOfDevice } from "./Device.ts"
import { Oracle } from "./Oracle.ts"
import type { Sabotage } from "./Sabotage.ts"
import { type Happening, type ScriptEvent, type Setting, scriptOf, settingOf } from "./Script.ts"
import { SecsyncDevice } from "./SecsyncDevice.ts"
import { LIBRARY, ServerProcess } from "./ServerProcess.ts"
import { SignalBus } from "./SignalBus.ts"
import { VerdantDevice } from "./VerdantDevice.ts"
import { VirtualTime } from "./VirtualTime.ts"

/** Acts and faults of a script, unless it is said otherwise. With the frames and signals of them, a world has 1,260 events. */
export const EVENTS = 250

/** How long after the last fault every device must hold the same, in milliseconds of the simulation. */
const SETTLES_WITHIN = 120_000

export interface SimulationOptions {
  readonly seed: number
  /** Default: the script of the seed. */
  readonly script?: ReadonlyArray<ScriptEvent>
  readonly sabotage?: Sabotage
  /** Called with every frame and every happening, in order: two runs of a seed call it with the same lines. */
  readonly onTrace?: (line: string) => void
}

export interface Result {
  readonly seed: number
  /** The problems, the first one first. The world ends at the first. */
  readonly problems: ReadonlyArray<string>
  readonly events: number
  /** Frames between devices and servers, events in the log, acknowledgements that were checked, and seconds of simulated time. */
  readonly frames: number
  readonly stored: number
  readonly acknowledged: number
  readonly seconds: number
  /** Texts that only one device has, because the real client takes them for acknowledged by mistake. */
  readonly mistaken: number
}

const MAX_PROBLEMS = 20

export const simulate = ({ onTrace, sabotage, seed, script = scriptOf(seed, EVENTS) }: SimulationOptions): Result => {
  const setting = settingOf(seed)
  const random = makeRandom(seed)
  const time = new VirtualTime(random, setting.isShuffled)
  const problems: Array<string> = []
  const reported = new Set<string>()
  let frames = 0
  const trace = (line: string): void => onTrace?.(`${time.now().toFixed(3)} ${line}`)
  const report = (problem: string): void => {
    if (reported.has(problem)) return
    reported.add(problem)
    trace(`! ${problem}`)
    if (problems.length < MAX_PROBLEMS) problems.push(`${(time.now() / 1000).toFixed(3)} s: ${problem}`)
  }

  const oracle = new Oracle(report)
  const stored = Effect.runSync(Effect.scoped(Effect.map(Layer.build(Layer.fresh(layerMemory)), Context.get(EventLog))))
  const endOfWorld = Deferred.makeUnsafe<void>()
  const bus = new SignalBus(time, random)
  const processes = Array.from(
    { length: setting.processes },
    (_, index) =>
      new ServerProcess(index, {
        ...{ time, random, log: oracle.watch(stored), bus, report, options: optionsOf(setting) },
        ...{ sabotage, endOfWorld }
      })
  )
  const world: WorldOfDevice = {
    time,
    random,
    processes,
    trace: (line) => {
      frames += 1
      trace(line)
    },
    sent: (device, link, message) => {
      if (device instanceof SecsyncDevice) oracle.sent(link, `${LIBRARY}/${device.documentId}`, device.pubKey, message)
    },
    holds: (signature) => oracle.holds(signature),
    acknowledged: (device, operations) => oracle.acknowledged(device, operations),
    report,
    plaintexts: new Map()
  }
  const documents = Array.from({ length: setting.documents }, (_, i) => `document-${i}`)
  const secsync = documents.map((id, i) =>
    Array.from({ length: setting.secsyncDevices }, (_, k) => new SecsyncDevice(`secsync-${i}-${k}`, world, id))
  )
  const verdant = Array.from({ length: setting.verdantDevices }, (_, i) => new VerdantDevice(`verdant-${i}`, world))
  const groups: ReadonlyArray<ReadonlyArray<Device>> = verdant.length === 0 ? secsync : [...secsync, verdant]
  const devices = groups.flat()

  let texts = 0
  const happen = (happening: Happening): void => {
    if (onTrace !== undefined) trace(JSON.stringify(happening))
    const device = "device" in happening ? devices[happening.device % devices.length]! : undefined
    const process = "process" in happening ? processes[happening.process % processes.length]! : undefined
    const later = (undo: () => void) => void time.after("lasts" in happening ? happening.lasts : 0, undo)
    switch (happening._tag) {
      case "Write":
        for (let i = 0; i < happening.changes; i++) device!.write(`t${texts++}`)
        return
      case "Snapshot":
        return device instanceof SecsyncDevice ? device.sendSnapshotNow() : undefined
      case "Offline":
        device!.goOffline()
        return later(() => device!.goOnline())
      case "CutDevice":
        return device!.cut()
      case "CutProcess":
        return process!.cutConnections()
      case "Crash":
        process!.die()
        return later(() => process!.start())
      case "LogDown":
        process!.isDown = true
        return later(() => {
          process!.isDown = false
        })
      case "LogFails":
        process!.failing = happening.perThousand
        return later(() => {
          process!.failing = 0
        })
      case "LogSlow":
        process!.latency = happening.latency
        return later(() => {
          process!.latency = LATENCY
        })
      case "SignalsLost":
        bus.lost = happening.perThousand
        bus.doubled = 200
        return later(() => {
          bus.lost = 0
        })
      case "SignalsCut":
        return bus.cut(process!.index)
      case "ClockLeaps":
        process!.ahead = happening.ahead
    }
  }

  const end = (script.at(-1)?.at ?? 0) + 1
  for (const process of processes) process.start()
  for (const device of devices) device.goOnline()
  // One timer at a time: a thousand of them would make every other one slower.
  const play = (next: number): void => {
    const event = script[next]
    if (event === undefined) return
    time.after(event.at - time.now(), () => {
      happen(event.happening)
      play(next + 1)
    })
  }
  play(0)
  const hasFailed = () => problems.length > 0
  time.runUntil(hasFailed, end)

  trace("the faults stop")
  bus.lost = 0
  for (const process of processes) {
    Object.assign(process, { latency: LATENCY, failing: 0, isDown: false })
    process.start()
  }
  for (const device of devices) device.goOnline()
  for (const device of secsync.flat()) if (device.mistaken.size > 0) device.write(`t${texts++}`)
  const isEqual = (group: ReadonlyArray<Device>) => {
    const mistaken = new Set(group.flatMap((device) => (device instanceof SecsyncDevice ? [...device.mistaken] : [])))
    const contents = group.map(({ content }) =>
      mistaken.size === 0
        ? content
        : content
            .split(" ")
            .filter((text) => !mistaken.has(text))
            .join(" ")
    )
    return contents.every((content) => content === contents[0])
  }
  const isSettled = () => devices.every((device) => device.isSettled) && groups.every(isEqual)
  const settles = (holds: () => boolean): boolean => {
    const end = time.now() + SETTLES_WITHIN
    // The condition is dear to look at.
    while (time.now() < end && !hasFailed()) {
      if (holds()) return true
      time.runUntil(hasFailed, 250)
    }
    return hasFailed() || holds()
  }
  if (!settles(isSettled)) {
    for (const device of devices) if (!device.isSettled) report(`${device.name} is stuck: ${device.state}`)
    for (const group of groups) if (!isEqual(group)) report(difference(group))
  }

  // A newcomer sees what the log holds.
  for (const group of hasFailed() ? [] : groups) {
    const [first] = group
    const newcomer =
      first instanceof SecsyncDevice
        ? new SecsyncDevice(`${first.documentId} newcomer`, world, first.documentId)
        : new VerdantDevice("verdant newcomer", world)
    newcomer.goOnline()
    if (!settles(() => newcomer.isSettled && isEqual([...group, newcomer]))) report(difference([...group, newcomer]))
    if (!(newcomer instanceof SecsyncDevice)) continue
    for (const device of group as ReadonlyArray<SecsyncDevice>) {
      for (const text of device.acknowledged) {
        if (!newcomer.texts.has(text)) report(`${text}, which ${device.name} was acknowledged, is lost`)
      }
    }
  }
  if (!hasFailed()) for (const problem of problemsOf(stored, time)) report(problem)

  const seconds = Math.round(time.now() / 1000)
  // Ended processes close what they left open, so that nothing of this world stays in memory.
  for (const device of devices) device.goOffline()
  for (const process of processes) process.die()
  Deferred.doneUnsafe(endOfWorld, Effect.void)
  time.runUntil(() => false, SETTLES_WITHIN)
  return {
    seed,
    problems,
    events: script.length,
    frames,
    stored: oracle.stores,
    acknowledged: oracle.checked,
    mistaken: secsync.flat().reduce((sum, device) => sum + device.mistaken.size, 0),
    seconds
  }
}

/** The longest time that a call of a healthy log takes in each direction, in milliseconds. */
const LATENCY = 5

const optionsOf = ({ foldAfter, maxUpdatesPerSnapshot }: Setting) => ({
  secsync: maxUpdatesPerSnapshot === undefined ? {} : { maxUpdatesPerSnapshot },
  verdant: { foldAfter }
})

const difference = (group: ReadonlyArray<Device>): string => {
  const parts = group.map(({ content }) => new Set(content.split(" ")))
  const lacks = group.map(({ name }, i) => {
    const missing = new Set(parts.flatMap((part) => Array.from(part)).filter((text) => !parts[i]!.has(text)))
    return `${name} lacks ${Array.from(missing).slice(0, 5).join(" ") || "nothing"}`
  })
  return `devices differ: ${lacks.join("; ")}`
}

/** Verifies the log as `sync-admin replay` does, but for the signatures, which the simulation does not make. */
const problemsOf = (log: EventLog["Service"], time: VirtualTime): ReadonlyArray<string> => {
  const verify = Signatures.of({ verify: (signed) => Effect.succeed(signed.map(() => true)) })
  let exit: Exit.Exit<Effect.Success<ReturnType<typeof replay>>, unknown> | undefined
  const replaying = replay().pipe(
    Effect.provideService(EventLog, log),
    Effect.provideService(Signatures, verify),
    Effect.exit,
    Effect.map((ended) => {
      exit = ended
    })
  )
  time.machine(time.clock(() => 0))(replaying)
  time.runUntil(() => exit !== undefined, SETTLES_WITHIN)
  if (exit === undefined) return ["the replay of the log does not end"]
  if (Exit.isFailure(exit)) return [`the log cannot be replayed: ${String(exit.cause)}`]
  return exit.value.problems.map((problem) => `the log does not replay: ${JSON.stringify(problem)}`)
}
