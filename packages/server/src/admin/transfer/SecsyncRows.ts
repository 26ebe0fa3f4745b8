/**
 * Reads a document from the tables of secsync-server's setup guide, and decides its history again: signatures, clocks and
 * parent proofs. The other server checked no proofs, so the history may begin later here than there.
 */
import { Clock, Effect, Result, Schema } from "effect"
import { blake2b256 } from "../../domain/Blake2b.ts"
import type { DocumentId, SnapshotId } from "../../domain/Ids.ts"
import { advance, emptyHead, place, type StreamHead, type StreamKey } from "../../domain/Stream.ts"
import * as Secsync from "../../domain/secsync/index.ts"
import type { PlacedEvent } from "../../ports/EventLog.ts"
import {
  type ClientMessage,
  makeDecoder,
  type SnapshotMessage,
  type UpdateMessage
} from "../../protocols/secsync/Wire.ts"
import { Signatures } from "../../signatures/Signatures.ts"

/** The other server's database cannot be read, or does not have its tables. */
export class SecsyncUnreadable extends Schema.TaggedError<SecsyncUnreadable>()("SecsyncUnreadable", {
  detail: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
}

export interface DocumentRow {
  readonly id: string
  readonly activeSnapshotId: string | null
}

/** The tables, all read at one moment. `data` is the JSON of a message, as its author signed it. */
export interface SecsyncTables {
  /** Rows of `Document` in the order of their ids, with a greater id than `after`. */
  readonly documents: (after: string, limit: number) => Effect.Effect<ReadonlyArray<DocumentRow>, SecsyncUnreadable>
  /** `data` of a row of `Snapshot`, if it is of the document. */
  readonly snapshot: (documentId: string, snapshotId: string) => Effect.Effect<string | undefined, SecsyncUnreadable>
  /** `data` of the rows of `Update` of a snapshot, in the order of their versions. */
  readonly updates: (snapshotId: string) => Effect.Effect<ReadonlyArray<string>, SecsyncUnreadable>
}

export interface DocumentHistory {
  readonly events: ReadonlyArray<PlacedEvent>
  /** Snapshots of the proof chain, the active one included. */
  readonly snapshots: number
  readonly updates: number
  /** Older snapshots that were left out, because a proof, a clock or a signature on the way to the active one is wrong. */
  readonly leftOut: number
}

const decode = makeDecoder()
const ORIGIN = "sync-admin import secsync"

/**
 * The history that ends with the active snapshot and its updates; a failure says what is wrong with those. Superseded
 * snapshots and updates keep their events without their payloads, and a `Pruned` event says so: no client needs them.
 */
export const readSecsyncDocument = Effect.fnUntraced(function* (
  tables: SecsyncTables,
  key: StreamKey,
  { activeSnapshotId, id }: DocumentRow & { readonly activeSnapshotId: string }
) {
  const signatures = yield* Signatures
  const now = yield* Clock.currentTimeMillis
  const lineage = yield* lineageOf(tables, id, activeSnapshotId)
  let history = new History(key, now)
  let leftOut = 0
  for (const [i, snapshotId] of lineage.entries()) {
    const isActive = i === lineage.length - 1
    const texts = [yield* tables.snapshot(id, snapshotId), ...(yield* tables.updates(snapshotId))]
    const messages = texts.map((text) => (text === undefined ? undefined : decode(text)))
    const signed = messages.flatMap((message) => (message !== undefined && "signed" in message ? [message.signed] : []))
    const genuine = yield* signatures.verify(signed)
    const [snapshot, ...updates] = messages
    const problem =
      signed.length < messages.length || genuine.includes(false)
        ? `the snapshot ${snapshotId} or one of its updates is malformed, or not signed by its author`
        : yield* Effect.sync(() => {
            if (snapshot?._tag !== "Snapshot") return `the row of the snapshot ${snapshotId} holds no snapshot`
            if (history.takeSnapshot(snapshot, isActive) !== undefined) {
              // The line is broken before this snapshot, which begins a new one.
              leftOut += history.snapshots
              history = new History(key, now)
              const problem = history.takeSnapshot(snapshot, isActive)
              if (problem !== undefined) return problem
            }
            for (const update of updates) {
              if (update?._tag !== "Update") return `a row of an update of ${snapshotId} holds no update`
              const problem = history.takeUpdate(update, isActive)
              if (problem !== undefined) return problem
            }
            return undefined
          })
    if (problem === undefined) continue
    if (isActive) return Result.fail(problem)
    leftOut += history.snapshots
    history = new History(key, now)
  }
  const { events, snapshots, updates } = history
  return Result.succeed({ events, snapshots, updates, leftOut } satisfies DocumentHistory)
})

/** The ids of the snapshots from the oldest known ancestor to the active one. */
const lineageOf = Effect.fnUntraced(function* (tables: SecsyncTables, documentId: string, active: string) {
  const ids: Array<string> = []
  let next: string | undefined = active
  while (next !== undefined && next !== "" && !ids.includes(next)) {
    const text: string | undefined = yield* tables.snapshot(documentId, next)
    if (text === undefined && ids.length > 0) break
    ids.push(next)
    const message: ClientMessage | undefined = text === undefined ? undefined : decode(text)
    next = message?._tag === "Snapshot" ? message.parentSnapshotId : undefined
  }
  return ids.reverse()
})

class History {
  readonly events: Array<PlacedEvent> = []
  snapshots = 0
  updates = 0
  private readonly key: StreamKey
  private readonly now: number
  private readonly ids = new Set<SnapshotId>()
  private state: Secsync.DocumentState
  private head: StreamHead = emptyHead

  constructor(key: StreamKey, now: number) {
    this.key = key
    this.now = now
    this.state = Secsync.initial(key.streamId as DocumentId)
  }

  /** Returns why the rules refuse it; undefined: they take it. */
  takeSnapshot(message: SnapshotMessage, isActive: boolean): string | undefined {
    const { payload } = message
    const payloadHash = blake2b256(payload)
    const used = this.ids.has(message.snapshotId)
    const decided = Secsync.decide(this.state, {
      ...{ ...message, _tag: "StoreSnapshot" as const },
      ...{ payloadHash, payloadBytes: payload.length, used }
    })
    if (Result.isFailure(decided)) return `the rules refuse the snapshot ${message.snapshotId}: ${decided.failure._tag}`
    this.snapshots += 1
    this.ids.add(message.snapshotId)
    const hasHistory = this.events.length > 0
    const before = this.add(decided.success, payloadHash, isActive ? payload : null)
    if (isActive && hasHistory) this.add({ _tag: "Pruned", before }, "", null)
    return undefined
  }

  takeUpdate(message: UpdateMessage, isActive: boolean): string | undefined {
    const { clock, payload, pubKey, refSnapshotId } = message
    const payloadHash = blake2b256(payload)
    const decided = Secsync.decide(this.state, {
      ...{ _tag: "StoreUpdate", documentId: message.documentId, refSnapshotId, pubKey, clock },
      ...{ payloadHash, payloadBytes: payload.length, snapshotDueAfter: Number.POSITIVE_INFINITY }
    })
    if (Result.isFailure(decided)) return `the rules refuse an update of ${refSnapshotId}: ${decided.failure._tag}`
    this.updates += 1
    this.add(decided.success, payloadHash, isActive ? payload : null)
    return undefined
  }

  /** Returns the event's version. */
  private add(
    event: Secsync.DocumentEvent,
    payloadHash: Parameters<typeof Secsync.toNewEvent>[1],
    payload: Uint8Array | null
  ): number {
    const placed = place(this.key, this.head, Secsync.toNewEvent(event, payloadHash), ORIGIN, this.now)
    this.events.push({ event: placed, payload })
    this.head = advance(this.head, placed)
    this.state = Secsync.evolve(this.state, event, payloadHash)
    return placed.version
  }
}
