/** One simulated server process: the services of a real server over a faulty log and faulty signals. It can die and come back. */
import { makeTransportSignals } from "@sealog/server/adapters/TransportSignals"
import type { LibraryId, UserId } from "@sealog/server/domain/Ids"
import { provideServices } from "@sealog/server/edge/Services"
import { Access, type Grant } from "@sealog/server/ports/Access"
import { EventLog } from "@sealog/server/ports/EventLog"
import { Signals } from "@sealog/server/ports/Signals"
import type { Connection } from "@sealog/server/protocols/Connection"
import type { DocumentRooms } from "@sealog/server/protocols/secsync/Rooms"
import type { SecsyncOptions, SecsyncSessions } from "@sealog/server/protocols/secsync/Sessions"
import type { VerdantOptions, VerdantSessions } from "@sealog/server/protocols/verdant/Sessions"
import { Signatures } from "@sealog/server/signatures/Signatures"
import type { SignedText } from "@sealog/server/signatures/verifySignature"
import { type Context, Deferred, Effect, Layer, Logger, type LogLevel } from "effect"
import type { Random } from "../support/random.ts"
import { type LogFaults, makeFaultyLog } from "./FaultyLog.ts"
import { type DeviceEnd, Link, type ServerEnd } from "./Link.ts"
import type { Sabotage } from "./Sabotage.ts"
import type { SignalBus } from "./SignalBus.ts"
import type { VirtualTime } from "./VirtualTime.ts"

export const LIBRARY = "library" as LibraryId

export const grantOf = (userId: string, replicaType = 0): Grant => ({
  userId: userId as UserId,
  libraryId: LIBRARY,
  documents: undefined,
  readOnly: false,
  replicaType,
  expiresAt: Number.MAX_SAFE_INTEGER,
  tokenId: undefined,
  issuedAt: undefined
})

export interface WorldOfProcess {
  readonly time: VirtualTime
  readonly random: Random
  readonly log: EventLog["Service"]
  readonly bus: SignalBus
  readonly options: { readonly secsync: SecsyncOptions; readonly verdant: VerdantOptions }
  readonly sabotage: Sabotage | undefined
  readonly endOfWorld: Deferred.Deferred<void>
  /** Something happened that must never happen. */
  readonly report: (problem: string) => void
}

/** The longest time that a batch of signatures takes to verify, in milliseconds. */
const MAX_VERIFICATION = 3

/** A process from its start to its end. */
interface Life {
  readonly faults: LogFaults
  readonly death: Deferred.Deferred<void>
  /** Starts an effect in the process. */
  readonly run: (effect: Effect.Effect<void, unknown>) => void
  /** Undefined while it starts. */
  services?: Context.Context<Sessions>
}

type Sessions = SecsyncSessions | VerdantSessions | DocumentRooms

export class ServerProcess {
  readonly index: number
  private readonly world: WorldOfProcess
  /** How far the machine's time of day is ahead, in milliseconds. */
  ahead = 0
  latency = 5
  failing = 0
  isDown = false
  private life: Life | undefined
  private readonly links = new Set<Link>()

  constructor(index: number, world: WorldOfProcess) {
    this.index = index
    this.world = world
  }

  get isUp(): boolean {
    return this.life?.services !== undefined
  }

  start(): void {
    if (this.life !== undefined) return
    const { report, time } = this.world
    const death = Deferred.makeUnsafe<void>()
    const process = this
    const faults: LogFaults = {
      get latency() {
        return process.latency
      },
      get failing() {
        return process.failing
      },
      get isDown() {
        return process.isDown
      },
      death,
      endOfWorld: this.world.endOfWorld,
      isDead: false
    }
    const logger = Logger.make(({ cause, logLevel, message }) => {
      if (!faults.isDead && isFault(logLevel)) report(`the server logged: ${describe(message)} ${describe(cause)}`)
    })
    const clock = time.clock(() => this.ahead)
    const life: Life = { faults, death, run: time.machine(clock, logger) }
    this.life = life
    const booting = Effect.gen(function* () {
      life.services = yield* Layer.build(process.layer(faults))
      return yield* Deferred.await(death)
    })
    this.runIn(life, Effect.scoped(booting))
  }

  /** Ends the process at once: nothing of it goes on, and its connections break. */
  die(): void {
    const { life } = this
    if (life === undefined) return
    life.faults.isDead = true
    this.life = undefined
    for (const link of this.links) link.died()
    this.links.clear()
    Deferred.doneUnsafe(life.death, Effect.void)
  }

  cutConnections(): void {
    for (const link of this.links) link.cut()
    this.links.clear()
  }

  // ---- connections

  /** Connects a device; undefined while the process is down. */
  connect(
    id: string,
    device: DeviceEnd,
    open: (sessions: Context.Context<Sessions>, connection: Connection) => ReturnType<ServerEnd["open"]>,
    sent: (message: unknown) => void
  ): Link | undefined {
    const { life, world } = this
    if (life?.services === undefined) return undefined
    const { services } = life
    const end: ServerEnd = {
      open: (connection) => open(services, connection),
      run: (effect) => this.runIn(life, effect),
      sent: (message) => life.faults.isDead || sent(message),
      report: (problem) => life.faults.isDead || world.report(problem)
    }
    const link = new Link(id, world.time, world.random, device, end)
    this.links.add(link)
    return link
  }

  // ---- the process

  private runIn(life: Life, effect: Effect.Effect<void, unknown>): void {
    if (!life.faults.isDead) life.run(effect)
  }

  private layer(faults: LogFaults): Layer.Layer<Sessions> {
    const { bus, log, options, random, sabotage, time } = this.world
    const { life } = this
    const medium = bus.mediumOf(this.index, (effect) => this.runIn(life!, effect))
    const signals = Layer.effect(Signals, makeTransportSignals(medium))
    // Threads verify in a real server: the result comes later, and other work comes in between.
    const verifyThen = (signed: ReadonlyArray<SignedText>, done: (genuine: ReadonlyArray<boolean>) => void): void => {
      const genuine = signed.map(() => true)
      time.after((random.next(100) / 100) * MAX_VERIFICATION, () => faults.isDead || done(genuine))
    }
    const signatures = Signatures.of({
      verify: (signed) => Effect.callback((resume) => verifyThen(signed, (genuine) => resume(Effect.succeed(genuine)))),
      verifyThen
    })
    const access = Access.of({
      verify: () => Effect.die("a simulated client has no token"),
      mint: () => Effect.die("a simulated client has no token"),
      ended: () => Effect.never
    })
    const sessions = Layer.effectContext(Effect.context<Sessions>())
    return sessions.pipe(
      // It asks how busy the process is, which no seed decides.
      provideServices({ ...options, scrub: { bytesPerSecond: 0 } }),
      Layer.provide([
        Layer.succeed(EventLog, makeFaultyLog(log, faults, time, random, sabotage)),
        signals,
        Layer.succeed(Signatures, signatures),
        Layer.succeed(Access, access)
      ])
    ) as Layer.Layer<Sessions>
  }
}

const isFault = (level: LogLevel.LogLevel): boolean => level === "Error" || level === "Fatal"

const describe = (value: unknown): string => (typeof value === "string" ? value : String(value)).slice(0, 500)
