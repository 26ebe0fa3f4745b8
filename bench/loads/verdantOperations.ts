/** Clients of one library are online. Some of them write, one operation per message. */
import { setTimeout as sleep } from "node:timers/promises"
import { quantile } from "../harness/statistics.ts"
import {
  initialize,
  join,
  type Received,
  sendOperations,
  setContent,
  type VerdantClient,
  type VerdantTarget
} from "./verdantClient.ts"

export interface VerdantOperations extends VerdantTarget {
  /** How many of the clients write; there is one client per token. */
  readonly writers: number
  /** Operations of one writer that some client has not received yet. */
  readonly inFlight: number
  readonly seconds: number
}

export interface VerdantOperationsDone {
  /** Operations that are stored and that every other client has received. */
  readonly operations: number
  readonly seconds: number
  /** Milliseconds from sending an operation. */
  readonly ackP50: number
  readonly ackP99: number
  readonly deliveryP50: number
  readonly deliveryP99: number
  /** Frames of all clients together, by message type; includes those of the seconds after the last operation. */
  readonly received: Readonly<Record<string, Received>>
}

const OBJECTS = 100
/** Operations before the measured part. */
const WARM_UP = 20
/** By then all messages about the last operations have arrived. */
const AFTERMATH_MILLIS = 4000
const PATIENCE_MILLIS = 20_000

export const prepare = async (load: VerdantOperations): Promise<() => Promise<VerdantOperationsDone>> => {
  const clients: Array<VerdantClient> = []
  for (const token of load.tokens) clients.push((await join(load.url, token)).client)
  const flight = new Flight(clients)
  const [first] = clients
  await flight.send(
    first!,
    Array.from({ length: OBJECTS }, (_, object) => initialize(first!, object))
  )
  for (let n = 0; n < WARM_UP; n++) await flight.send(first!, [setContent(first!, n, n)])

  return async () => {
    flight.reset()
    for (const { received } of clients) received.clear()
    const start = performance.now()
    const end = start + load.seconds * 1000
    const write = async (writer: VerdantClient, lane: number) => {
      for (let n = lane; performance.now() < end; n++) await flight.send(writer, [setContent(writer, n % OBJECTS, n)])
    }
    const lanes = clients
      .slice(0, load.writers)
      .flatMap((writer) => Array.from({ length: load.inFlight }, (_, lane) => write(writer, lane)))
    const isDone = await Promise.race([
      Promise.all(lanes).then(() => true),
      sleep(load.seconds * 1000 + PATIENCE_MILLIS, false)
    ])
    if (!isDone) throw new Error("Operations did not arrive")
    const seconds = (performance.now() - start) / 1000
    const { acks, deliveries } = flight
    await sleep(AFTERMATH_MILLIS)
    return {
      operations: acks.length,
      seconds,
      ackP50: quantile(acks, 0.5),
      ackP99: quantile(acks, 0.99),
      deliveryP50: quantile(deliveries, 0.5),
      deliveryP99: quantile(deliveries, 0.99),
      received: totalOf(clients)
    }
  }
}

/** Operations on their way, by their timestamps, which are unique. */
class Flight {
  acks: Array<number> = []
  deliveries: Array<number> = []
  private readonly underway = new Map<string, { readonly sentAt: number; left: number; readonly done: () => void }>()
  private readonly clients: number

  constructor(clients: ReadonlyArray<VerdantClient>) {
    this.clients = clients.length
    for (const client of clients) {
      client.onServerAck = (timestamp) => this.arrived(timestamp, this.acks)
      client.onOperations = (timestamps) => {
        for (const timestamp of timestamps) this.arrived(timestamp, this.deliveries)
      }
    }
  }

  /** Sends one message. Resolves when the server has acknowledged it and every other client has its last operation. */
  send(writer: VerdantClient, operations: ReadonlyArray<{ readonly timestamp: string }>): Promise<void> {
    return new Promise((done) => {
      const sentAt = performance.now()
      this.underway.set(operations.at(-1)!.timestamp, { sentAt, left: this.clients, done })
      sendOperations(writer, operations)
    })
  }

  reset(): void {
    this.acks = []
    this.deliveries = []
  }

  private arrived(timestamp: string, latencies: Array<number>): void {
    const operation = this.underway.get(timestamp)
    if (operation === undefined) return
    latencies.push(performance.now() - operation.sentAt)
    operation.left -= 1
    if (operation.left > 0) return
    this.underway.delete(timestamp)
    operation.done()
  }
}

const totalOf = (clients: ReadonlyArray<VerdantClient>): Record<string, Received> => {
  const total: Record<string, Received> = {}
  for (const { received } of clients) {
    for (const [type, { bytes, messages }] of received) {
      const kind = total[type] ?? { bytes: 0, messages: 0 }
      total[type] = { bytes: kind.bytes + bytes, messages: kind.messages + messages }
    }
  }
  return total
}
