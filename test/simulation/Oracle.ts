/**
 * Knows what the log holds and what clients were told, and reports every difference: an acknowledgement of something that the
 * log does not hold, an event that is stored twice, a client that is sent events out of order.
 */

import { streamName } from "@sealog/server/domain/Stream"
import { type Append, type Appended, EventLog } from "@sealog/server/ports/EventLog"
import { Context, Effect } from "effect"
import { isArrayNonEmpty } from "effect/Array"
import type { Operation } from "./VerdantDevice.ts"
import { keyOf } from "./VerdantDevice.ts"

interface Frame {
  readonly type: string
  readonly snapshotId?: string
  readonly clock?: number
  readonly snapshot?: { readonly signature: string }
  readonly updates?: ReadonlyArray<{ readonly signature: string }>
  readonly signature?: string
}

/** The appends of the transaction in which an effect runs; undefined: it runs in none. */
const Transaction = Context.Reference<Array<Append> | undefined>("simulation/Transaction", {
  defaultValue: () => undefined
})

export class Oracle {
  private readonly report: (problem: string) => void
  /** Versions of Secsync's snapshots and updates, by their signature. */
  private readonly versions = new Map<string, number>()
  /** Snapshots by id, and updates by snapshot, author and clock. */
  private readonly secsync = new Set<string>()
  private readonly operations = new Set<string>()
  /** The last version that was sent on each connection. */
  private readonly delivered = new Map<string, number>()
  /** Acknowledgements that were checked. */
  checked = 0
  /** Events that the log has taken. */
  stores = 0

  constructor(report: (problem: string) => void) {
    this.report = report
  }

  // ---- what the log holds

  /** The log, watched. Like a database, and unlike the log in memory, it shows a transaction to others only when it ends. */
  watch(log: EventLog["Service"]): EventLog["Service"] {
    const append: EventLog["Service"]["append"] = (batch) =>
      Effect.tap(log.append(batch), (results) => Effect.sync(() => this.appended(batch, results)))
    const resultOf = Effect.fnUntraced(function* ({ events, expectedVersion, key }: Append) {
      const [head] = yield* log.heads([key])
      if (head!.version !== expectedVersion) return { _tag: "Conflict", actualVersion: head!.version } as const
      for (const { event } of events) {
        if (event.uniqueKey === undefined) continue
        if ((yield* log.readKeyed(key, event.uniqueKey)) !== undefined) return { _tag: "UniqueKeyTaken" } as const
      }
      return { _tag: "Committed" } as const
    })
    return EventLog.of({
      ...log,
      append: (batch) =>
        Effect.flatMap(Transaction, (transaction) => {
          if (transaction === undefined) return append(batch)
          return Effect.tap(Effect.forEach(batch, resultOf), (results) =>
            Effect.sync(() => transaction.push(...batch.filter((_, i) => results[i]!._tag === "Committed")))
          )
        }),
      exclusively: (key, use) =>
        Effect.suspend(() => {
          const transaction: Array<Append> = []
          const commit = Effect.suspend(() => (isArrayNonEmpty(transaction) ? append(transaction) : Effect.void))
          return log.exclusively(key, Effect.tap(Effect.provideService(use, Transaction, transaction), commit))
        })
    })
  }

  private appended(batch: ReadonlyArray<Append>, results: ReadonlyArray<Appended>): void {
    for (const [i, append] of batch.entries()) {
      if (results[i]!._tag !== "Committed") continue
      this.stored(append)
    }
  }

  private stored({ events, key }: Append): void {
    this.stores += events.length
    for (const { event, payload } of events) {
      if (event.type === "OperationsStored") {
        const { operations } = JSON.parse(Buffer.from(payload!).toString()) as {
          readonly operations: ReadonlyArray<Operation>
        }
        for (const operation of operations) this.once(this.operations, keyOf(operation))
      } else if (event.type === "SnapshotStored" || event.type === "UpdateStored") {
        const { clock, pubKey, refSnapshotId, snapshotId } = event.data as {
          readonly [field in "clock" | "pubKey" | "refSnapshotId" | "snapshotId"]: string
        }
        const { signature } = JSON.parse(Buffer.from(payload!).toString()) as { readonly signature: string }
        const stream = streamName(key)
        this.once(
          this.secsync,
          snapshotId === undefined ? `${stream} ${refSnapshotId} ${pubKey} ${clock}` : `${stream} ${snapshotId}`
        )
        this.versions.set(signature, event.version)
      }
    }
  }

  /** Whether the log holds the Secsync message with this signature. */
  holds(signature: string): boolean {
    return this.versions.has(signature)
  }

  private once(set: Set<string>, name: string): void {
    if (set.has(name)) this.report(`the log holds ${name} twice`)
    set.add(name)
  }

  // ---- what clients are told

  /** The server sends a frame to a Secsync client. */
  sent(link: string, stream: string, pubKey: string, message: unknown): void {
    const frame = message as Frame
    const { clock, snapshot, snapshotId, type } = frame
    if (type === "snapshot-saved") this.mustHold(`${stream} ${snapshotId}`)
    if (type === "update-saved") this.mustHold(`${stream} ${snapshotId} ${pubKey} ${clock}`)
    if (type === "snapshot" || type === "update") this.inOrder(link, (snapshot ?? frame).signature!)
    if (type === "document" || type === "snapshot-save-failed") {
      for (const { signature } of [...(snapshot === undefined ? [] : [snapshot]), ...(frame.updates ?? [])]) {
        if (!this.versions.has(signature)) this.report(`${link} was sent what the log does not hold`)
      }
    }
  }

  private mustHold(name: string): void {
    this.checked += 1
    if (!this.secsync.has(name)) this.report(`the server acknowledged ${name}, which the log does not hold`)
  }

  private inOrder(link: string, signature: string): void {
    const version = this.versions.get(signature)
    if (version === undefined) return this.report(`${link} was sent an event that the log does not hold`)
    if (version <= (this.delivered.get(link) ?? 0)) this.report(`${link} was sent version ${version} out of order`)
    this.delivered.set(link, version)
  }

  /** A Verdant client takes these operations for stored, and will not send them again. */
  acknowledged(device: string, keys: ReadonlyArray<string>): void {
    for (const key of keys) {
      this.checked += 1
      if (!this.operations.has(key)) this.report(`${device} takes ${key} for stored, which the log does not hold`)
    }
  }
}
