/**
 * Knows what the log holds and what clients were told, and reports every difference: an acknowledgement of something that the
 * log does not hold, an event that is stored twice, a client that is sent events out of order.
 */

import { streamName } from "@sealog/server/domain/Stream"
import { type Append, type Appended, EventLog } from "@sealog/server/ports/EventLog"
import { Effect, Exit } from "effect"
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

export class Oracle {
  private readonly report: (problem: string) => void
  /** Versions of Secsync's snapshots and updates, by their signature. */
  private readonly versions = new Map<string, number>()
  /** Snapshots by id, and updates by snapshot, author and clock. */
  private readonly secsync = new Set<string>()
  private readonly operations = new Set<string>()
  /** Appends of a transaction that may yet be undone. */
  private provisional: Array<Append> | undefined
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

  /** The log, watched. */
  watch(log: EventLog["Service"]): EventLog["Service"] {
    return EventLog.of({
      ...log,
      append: (batch) => Effect.tap(log.append(batch), (results) => Effect.sync(() => this.appended(batch, results))),
      exclusively: (key, use) => {
        const watched = Effect.suspend(() => {
          this.provisional = []
          return use
        })
        return Effect.onExit(log.exclusively(key, watched), (exit) =>
          Effect.sync(() => {
            const appends = this.provisional ?? []
            this.provisional = undefined
            if (Exit.isSuccess(exit)) for (const append of appends) this.stored(append)
          })
        )
      }
    })
  }

  private appended(batch: ReadonlyArray<Append>, results: ReadonlyArray<Appended>): void {
    for (const [i, append] of batch.entries()) {
      if (results[i]!._tag !== "Committed") continue
      if (this.provisional === undefined) this.stored(append)
      else this.provisional.push(append)
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
  sent(link: string, stream: string, pubKey: string, text: string): void {
    const frame = JSON.parse(text) as Frame
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
