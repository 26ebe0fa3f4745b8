/**
 * A Verdant client as the real one behaves (@verdant-web/store 5.5.0), with documents of one field. It merges operations that
 * the server says it may merge, and so it cannot take back a wrong permission.
 */
import { VerdantSessions } from "@sealog/server/protocols/verdant/Sessions"
import { Context } from "effect"
import { Device, type WorldOfDevice } from "./Device.ts"
import { grantOf } from "./ServerProcess.ts"
import { BEGIN } from "./VirtualTime.ts"

export interface Operation {
  readonly oid: string
  readonly timestamp: string
  readonly data: { readonly op: string; readonly [field: string]: unknown }
}

interface Baseline {
  readonly oid: string
  readonly timestamp: string
  readonly snapshot: Readonly<Record<string, unknown>>
}

interface Message {
  readonly type: string
  readonly operations?: ReadonlyArray<Operation>
  readonly baselines?: ReadonlyArray<Baseline>
  readonly overwriteLocalData?: boolean
  readonly globalAckTimestamp?: string | null
  readonly ackedTimestamp?: string | null
  readonly ackThisNonce?: string
  readonly timestamp?: string
  readonly since?: string | null
}

/** How long a client gathers its user's changes before it sends them, in milliseconds. */
const BATCH = 200
/** The longest time that it takes to store what it received. */
const MAX_STORING = 50

export const keyOf = ({ oid, timestamp }: Operation): string => `${oid} ${timestamp}`

const byTimestamp = (a: { readonly timestamp: string }, b: { readonly timestamp: string }): number =>
  a.timestamp < b.timestamp ? -1 : a.timestamp > b.timestamp ? 1 : 0

export class VerdantDevice extends Device {
  readonly replicaId: string
  private readonly node: string
  /** How far the device's time of day is ahead, in milliseconds. */
  private readonly ahead: number
  /** 0: the watermark waits for its promises. 2: it is passive, so its late changes may be refused for a reset. */
  private readonly type: 0 | 2
  private operations = new Map<string, Operation>()
  private baselines = new Map<string, Baseline>()
  /** The documents of its baselines and operations. */
  private oids = new Set<string>()
  /** Its own operations that no reset has taken, by key. */
  private own = new Map<string, Operation>()
  /** The keys of those that the client does not take for stored. */
  private unacknowledged = new Set<string>()
  /** Its own operations that wait to be sent together. */
  private batch: Array<Operation> = []
  private lastSynced: string | null = null
  /** Its newest operation in the sync of this connection, if that brought everything. */
  private brought = ""
  private hasSynced = false
  private isSynced = false
  /** Messages that came before the answer to the first sync of the connection. */
  private early: Array<Message> = []
  /** Messages that wait for that answer. */
  private waiting: Array<object> = []
  private clock = { millis: 0, count: 0 }

  constructor(name: string, world: WorldOfDevice) {
    super(name, world)
    this.replicaId = this.randomText(25)
    this.node = this.randomText(7)
    this.ahead = world.random.next(2000) - 1000
    this.type = world.random.next(4) === 0 ? 2 : 0
  }

  /**
   * The server acknowledges the first sync up to five seconds before it, since a change may be stored at that moment. The client hears no
   * more until it writes or syncs again. So everything that such a sync brought counts; a newcomer shows that the log holds it.
   */
  override get isSettled(): boolean {
    const newest = this.newestOwn()
    return this.isSynced && this.batch.length === 0 && (newest <= (this.lastSynced ?? "") || newest <= this.brought)
  }

  override get state(): string {
    const { batch, isSynced, lastSynced } = this
    return JSON.stringify({ isSynced, batch: batch.length, lastSynced, newest: this.newestOwn() })
  }

  override get content(): string {
    const objects = this.snapshots()
    for (const operation of Array.from(this.operations.values()).sort(byTimestamp)) apply(objects, operation)
    return Array.from(objects, ([oid, object]) => `${oid}=${JSON.stringify(object)}`)
      .sort()
      .join(" ")
  }

  /** Its user makes a document, or changes one. */
  override write(text: string): void {
    const { random } = this.world
    const isChange = this.oids.size > 0 && random.next(2) === 0
    const operation: Operation = {
      oid: isChange ? Array.from(this.oids)[random.next(this.oids.size)]! : `items/${text}`,
      timestamp: this.now(),
      data: isChange ? { op: "set", name: "last", value: text } : { op: "initialize", value: { last: text } }
    }
    const key = keyOf(operation)
    this.oids.add(operation.oid)
    this.operations.set(key, operation)
    this.own.set(key, operation)
    this.unacknowledged.add(key)
    this.batch.push(operation)
    if (this.batch.length > 1) return
    this.world.time.after(random.next(BATCH), () => this.sendBatch())
  }

  // ---- the connection

  protected override connect(): boolean {
    const isOpen = this.open((services, connection) =>
      Context.get(services, VerdantSessions).openSocket(connection, grantOf(this.name, this.type))
    )
    if (!isOpen) return false
    this.send({ type: "presence-update", replicaId: this.replicaId, presence: {}, internal: {} })
    this.sync(this.lastSynced)
    return true
  }

  protected override disconnected(): void {
    this.isSynced = false
    this.early = []
    this.waiting = []
  }

  protected override receive(received: unknown): void {
    const message = received as Message
    switch (message.type) {
      case "sync-resp":
        return this.takeAnswer(message)
      case "need-since":
        return this.sync(message.since === null ? null : this.lastSynced)
      case "op-re":
        return this.isSynced ? this.takeOperations(message) : void this.early.push(message)
      case "server-ack":
        return this.isSynced ? this.syncedUpTo(message.timestamp!) : undefined
      case "global-ack":
        return this.isSynced ? this.merge(message.timestamp) : undefined
      case "forbidden":
        return this.report("was refused what it sent")
    }
  }

  // ---- what the server sends

  private takeAnswer(message: Message): void {
    if (message.ackThisNonce !== undefined) this.ack({ nonce: message.ackThisNonce })
    if (message.overwriteLocalData === true) {
      this.operations = new Map()
      this.baselines = new Map()
      this.oids = new Set()
      this.own = new Map()
      this.unacknowledged = new Set()
      this.batch = []
      this.waiting = []
    }
    for (const waiting of this.waiting.splice(0)) this.send(waiting)
    this.store(message)
    this.merge(message.globalAckTimestamp)
    this.isSynced = true
    this.hasSynced = true
    if (message.ackedTimestamp !== null && message.ackedTimestamp !== undefined) this.syncedUpTo(message.ackedTimestamp)
    const last = message.operations?.at(-1)
    if (last !== undefined && message.ackThisNonce === undefined) this.ack({ timestamp: last.timestamp })
    for (const early of this.early.splice(0)) this.takeOperations(early)
  }

  private takeOperations(message: Message): void {
    this.store(message)
    this.merge(message.globalAckTimestamp)
    const last = message.operations?.at(-1)
    if (last !== undefined) this.ack({ timestamp: last.timestamp })
  }

  private store({ baselines = [], operations = [] }: Message): void {
    for (const baseline of baselines) {
      this.oids.add(baseline.oid)
      this.baselines.set(baseline.oid, baseline)
    }
    for (const operation of operations) {
      this.oids.add(operation.oid)
      this.operations.set(keyOf(operation), operation)
      this.follow(operation.timestamp)
    }
  }

  /** Everything before the timestamp becomes a part of the baselines. */
  private merge(before: string | null | undefined): void {
    if (before === null || before === undefined) return
    const merged: Array<Operation> = []
    for (const operation of this.operations.values()) if (operation.timestamp < before) merged.push(operation)
    if (merged.length === 0) return
    const objects = this.snapshots()
    for (const operation of merged.sort(byTimestamp)) {
      apply(objects, operation)
      this.operations.delete(keyOf(operation))
      const { oid, timestamp } = operation
      const snapshot = objects.get(oid)
      if (snapshot !== undefined) this.baselines.set(oid, { oid, timestamp, snapshot })
    }
  }

  private snapshots(): Map<string, Baseline["snapshot"]> {
    return new Map(Array.from(this.baselines.values(), ({ oid, snapshot }) => [oid, snapshot]))
  }

  private syncedUpTo(timestamp: string): void {
    this.lastSynced = timestamp
    // The client takes these for stored: it will not send them again.
    const acknowledged = Array.from(this.unacknowledged).filter((key) => this.own.get(key)!.timestamp <= timestamp)
    for (const key of acknowledged) this.unacknowledged.delete(key)
    this.world.acknowledged(this.name, acknowledged)
  }

  // ---- what it sends

  private sync(since: string | null): void {
    this.brought = since === null ? this.newestOwn() : ""
    const isOwn = (operation: Operation) => operation.timestamp > since! && this.own.has(keyOf(operation))
    this.send({
      type: "sync",
      replicaId: this.replicaId,
      timestamp: this.now(),
      schemaVersion: 1,
      resyncAll: !this.hasSynced,
      since,
      operations: Array.from(this.operations.values())
        .filter((operation) => since === null || isOwn(operation))
        .sort(byTimestamp),
      baselines: since === null ? Array.from(this.baselines.values()) : []
    })
  }

  private sendBatch(): void {
    const operations = this.batch
    this.batch = []
    // Without a connection, the next sync brings them.
    if (operations.length === 0 || this.link === undefined) return
    const message = { type: "op", replicaId: this.replicaId, timestamp: this.now(), operations }
    if (this.isSynced) this.send(message)
    else this.waiting.push(message)
  }

  private ack(fields: object): void {
    const { link } = this
    this.world.time.after(this.world.random.next(MAX_STORING), () => {
      if (link === this.link) this.send({ type: "ack", replicaId: this.replicaId, timestamp: this.now(), ...fields })
    })
  }

  /** Sets the clock so that what comes next is later. */
  private follow(timestamp: string): void {
    const [millis, count] = [timestamp.slice(4, 13), timestamp.slice(13, 17)].map((digits) =>
      Number.parseInt(digits, 36)
    )
    const { clock } = this
    if (millis! > clock.millis || (millis === clock.millis && count! > clock.count))
      this.clock = { millis: millis!, count: count! }
  }

  private now(): string {
    const millis = Math.floor(BEGIN + this.world.time.now() + this.ahead)
    const { clock } = this
    this.clock = millis > clock.millis ? { millis, count: 0 } : { millis: clock.millis, count: clock.count + 1 }
    return `0001${this.clock.millis.toString(36).padStart(9, "0")}${this.clock.count.toString(36).padStart(4, "0")}${this.node}`
  }

  private newestOwn(): string {
    let newest = ""
    for (const { timestamp } of this.own.values()) if (timestamp > newest) newest = timestamp
    return newest
  }
}

const apply = (objects: Map<string, Readonly<Record<string, unknown>>>, { data, oid }: Operation): void => {
  if (data.op === "initialize") objects.set(oid, data["value"] as Readonly<Record<string, unknown>>)
  const object = objects.get(oid)
  if (data.op === "set" && object !== undefined)
    objects.set(oid, { ...object, [data["name"] as string]: data["value"] })
}
