/** A client of the simulated world: it keeps its data, loses its connection, and comes back after a while. */

import type { Connection } from "@sealog/server/protocols/Connection"
import type { DocumentRooms } from "@sealog/server/protocols/secsync/Rooms"
import type { SecsyncSessions } from "@sealog/server/protocols/secsync/Sessions"
import type { VerdantSessions } from "@sealog/server/protocols/verdant/Sessions"
import type { Context } from "effect"
import type { Random } from "../support/random.ts"
import type { Link, ServerEnd } from "./Link.ts"
import type { ServerProcess } from "./ServerProcess.ts"
import type { VirtualTime } from "./VirtualTime.ts"

export type Sessions = SecsyncSessions | VerdantSessions | DocumentRooms

export interface WorldOfDevice {
  readonly time: VirtualTime
  readonly random: Random
  readonly processes: ReadonlyArray<ServerProcess>
  /** Records a frame that the server sent to the device, or that the device sent. */
  readonly trace: (line: string) => void
  /** Sees each frame that the server sends to a device. */
  readonly sent: (device: Device, link: string, message: unknown) => void
  /** Whether the log holds the Secsync message with this signature. */
  readonly holds: (signature: string) => boolean
  /** A Verdant device takes these operations for stored. */
  readonly acknowledged: (device: string, operations: ReadonlyArray<string>) => void
  readonly report: (problem: string) => void
  /** The texts in the ciphertexts that Secsync devices have read, by nonce: each is read by every device of its document. */
  readonly plaintexts: Map<string, ReadonlyArray<string>>
}

/** The longest time until a device tries to connect again, in milliseconds. */
const MAX_BACK_OFF = 1500

export abstract class Device {
  readonly name: string
  protected readonly world: WorldOfDevice
  protected link: Link | undefined
  /** Counts the connections. */
  private connections = 0
  private isTrying = false
  /** Its user has no network. */
  private isOffline = true

  constructor(name: string, world: WorldOfDevice) {
    this.name = name
    this.world = world
  }

  /** The data as the user sees them: equal on all devices in the end. */
  abstract get content(): string
  /** Whether the server has acknowledged everything. */
  abstract get isSettled(): boolean
  /** For a report: why it is not settled. */
  abstract get state(): string
  abstract write(text: string): void
  protected abstract connect(): boolean
  protected abstract disconnected(): void
  protected abstract receive(message: unknown): void

  goOnline(): void {
    this.isOffline = false
    this.tryLater(0)
  }

  goOffline(): void {
    this.isOffline = true
    this.hangUp()
  }

  /** The network between the device and the server breaks. The device notices after a while. */
  cut(): void {
    this.link?.cut()
  }

  // ---- for the protocols

  /** Opens a connection to one of the processes that are up. Returns false if there is none. */
  protected open(
    session: (services: Context.Context<Sessions>, connection: Connection) => ReturnType<ServerEnd["open"]>
  ): boolean {
    const up = this.world.processes.filter(({ isUp }) => isUp)
    if (up.length === 0) return false
    this.connections += 1
    const { connections: number, world } = this
    const isCurrent = () => this.connections === number && this.link !== undefined
    this.link = up[world.random.next(up.length)]!.connect(
      `${this.name}.${number}`,
      {
        receive: (message, text) => {
          if (!isCurrent()) return
          world.trace(`${this.name} < ${text}`)
          this.receive(message)
        },
        closed: (code) => {
          if (!isCurrent()) return
          world.trace(`${this.name} closed ${code}`)
          this.end()
        }
      },
      session,
      (message) => world.sent(this, `${this.name}.${number}`, message)
    )
    return this.link !== undefined
  }

  /** Ends the connection. The device connects again later, unless it is offline. */
  protected hangUp(): void {
    this.link?.close()
    this.end()
  }

  protected send(message: object): void {
    const text = JSON.stringify(message)
    this.world.trace(`${this.name} > ${text}`)
    this.link?.send(text)
  }

  protected report(problem: string): void {
    this.world.report(`${this.name} ${problem}`)
  }

  /** Characters that ids, keys and signatures are made of. The first 14 of them differ from those of any other text. */
  protected randomText(length: number): string {
    const { random } = this.world
    const part = () =>
      random
        .next(2 ** 32)
        .toString(36)
        .padStart(7, "0")
    return (part() + part()).slice(0, length).padEnd(length, "A")
  }

  private end(): void {
    if (this.link === undefined) return
    this.link = undefined
    this.disconnected()
    this.tryLater(this.world.random.next(MAX_BACK_OFF))
  }

  private tryLater(millis: number): void {
    if (this.isTrying || this.link !== undefined) return
    this.isTrying = true
    this.world.time.after(millis, () => {
      this.isTrying = false
      if (!this.isOffline && this.link === undefined && !this.connect()) this.tryLater(MAX_BACK_OFF)
    })
  }
}
