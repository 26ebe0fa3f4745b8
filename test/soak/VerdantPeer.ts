/** A Verdant client with some objects of its own, of which each holds its newest number. */
import { type Message, Peer, type Soak } from "./Peer.ts"

const OBJECTS = 5

interface Operation {
  readonly oid: string
  readonly timestamp: string
  readonly data: { readonly op: "initialize"; readonly value: { readonly n: number } }
}

interface Baseline {
  readonly oid: string
  readonly timestamp: string
  readonly snapshot: { readonly n: number }
}

export class VerdantPeer extends Peer {
  private readonly token: string
  private readonly replicaId: string
  private readonly node: string
  /** The newest operation of every object. */
  private readonly objects = new Map<string, Operation>()
  /** The acknowledged numbers of its own objects. */
  private readonly acknowledged = new Map<string, number>()
  private lastSynced: string | null = null
  private hasSynced = false
  private isSynced = false
  private count = 0

  constructor(name: string, soak: Soak, token: string) {
    super(name, soak)
    this.token = token
    this.replicaId = `${name}-${soak.random.next(2 ** 32).toString(36)}`
    this.node = soak.random
      .next(2 ** 32)
      .toString(36)
      .padStart(7, "0")
      .slice(-7)
  }

  override get content(): string {
    return JSON.stringify(Array.from(this.objects.values(), ({ data, oid }) => `${oid}=${data.value.n}`).toSorted())
  }

  override get isSettled(): boolean {
    return this.isSynced && this.own().every(({ data, oid }) => data.value.n <= (this.acknowledged.get(oid) ?? 0))
  }

  override write(): void {
    this.newest += 1
    const oid = `item/${this.name}-${this.newest % OBJECTS}`
    this.send({ ...this.message("op"), operations: [this.written(oid, this.newest)] })
  }

  override forgive(): void {
    this.acknowledged.clear()
  }

  protected override address(url: string) {
    return { url: `${url}/verdant`, protocols: ["Bearer", this.token] }
  }

  protected override opened(): void {
    this.send({ ...this.message("presence-update"), presence: {}, internal: {} })
    this.sync(this.lastSynced)
  }

  protected override closed(): void {
    this.isSynced = false
  }

  protected override receive(message: Message): void {
    const operations = (message["operations"] ?? []) as ReadonlyArray<Operation>
    switch (message.type) {
      case "sync-resp":
        return this.takeAnswer(message, operations)
      case "op-re": {
        for (const operation of operations) this.take(operation)
        this.takeBaselines(message)
        const last = operations.at(-1)
        if (last !== undefined) this.send({ ...this.message("ack"), timestamp: last.timestamp })
        return
      }
      case "need-since":
        return this.sync(message["since"] === null ? null : this.lastSynced)
      case "server-ack":
        return this.syncedUpTo(String(message["timestamp"]))
    }
  }

  private takeAnswer(message: Message, operations: ReadonlyArray<Operation>): void {
    const own = this.own()
    const isReset = message["overwriteLocalData"] === true
    if (isReset) this.objects.clear()
    this.takeBaselines(message)
    for (const operation of operations) this.take(operation)
    if (message["ackThisNonce"] !== undefined) this.send({ ...this.message("ack"), nonce: message["ackThisNonce"] })
    else if (operations.length > 0) this.send({ ...this.message("ack"), timestamp: operations.at(-1)!.timestamp })
    this.hasSynced = true
    this.isSynced = true
    const { ackedTimestamp } = message as { readonly ackedTimestamp?: string | null }
    if (isReset) this.lastSynced = ackedTimestamp ?? null
    else if (ackedTimestamp) this.syncedUpTo(ackedTimestamp)
    if (!isReset) return
    for (const { data, oid } of own) {
      const found = this.objects.get(oid)?.data.value.n ?? 0
      const due = this.acknowledged.get(oid) ?? 0
      if (found < due) this.soak.report(`${this.name} was acknowledged ${due}, and ${oid} holds ${found}`)
      this.acknowledged.set(oid, found)
      // A reset took what was not acknowledged: the app writes it again.
      if (found < data.value.n) {
        this.send({ ...this.message("op"), operations: [this.written(oid, data.value.n)] })
      }
    }
  }

  private takeBaselines(message: Message): void {
    for (const { oid, snapshot, timestamp } of (message["baselines"] ?? []) as ReadonlyArray<Baseline>)
      this.take({ oid, timestamp, data: { op: "initialize", value: snapshot } })
  }

  private take(operation: Operation): void {
    const known = this.objects.get(operation.oid)
    if (known === undefined || known.timestamp < operation.timestamp) this.objects.set(operation.oid, operation)
  }

  private written(oid: string, n: number): Operation {
    const operation: Operation = { oid, timestamp: this.now(), data: { op: "initialize", value: { n } } }
    this.objects.set(oid, operation)
    return operation
  }

  private syncedUpTo(timestamp: string): void {
    this.lastSynced = timestamp
    for (const { data, oid, timestamp: at } of this.own())
      if (at <= timestamp) this.acknowledged.set(oid, Math.max(data.value.n, this.acknowledged.get(oid) ?? 0))
  }

  private own(): ReadonlyArray<Operation> {
    return Array.from(this.objects.values()).filter(({ oid }) => oid.startsWith(`item/${this.name}-`))
  }

  private sync(since: string | null): void {
    const operations =
      since === null ? Array.from(this.objects.values()) : this.own().filter((o) => o.timestamp > since)
    this.send({
      ...this.message("sync"),
      ...{ schemaVersion: 1, resyncAll: !this.hasSynced, since, baselines: [] },
      operations: operations.toSorted((a, b) => (a.timestamp < b.timestamp ? -1 : 1))
    })
  }

  private message(type: string) {
    return { type, replicaId: this.replicaId, timestamp: this.now() }
  }

  private now(): string {
    this.count = (this.count + 1) % 36 ** 3
    return `0001${Date.now().toString(36).padStart(9, "0")}${this.count.toString(36).padStart(4, "0")}${this.node}`
  }
}
