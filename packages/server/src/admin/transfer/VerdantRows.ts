/** Reads a library from a Verdant server's tables, and builds the library that continues where that server stopped. */
import { Effect, Option, Result, Schema, Stream } from "effect"
import { ReplicaId, ReplicaType, UserId } from "../../domain/verdant/Events.ts"
import { type Baseline, decodeBaseline } from "../../domain/verdant/model/Baseline.ts"
import { decodeOperation } from "../../domain/verdant/model/Operation.ts"
import { type FoldedLibrary, storedBaseline } from "../../domain/verdant/model/PayloadCodec.ts"
import {
  byTimestamp,
  ownerOf,
  type StoredBaseline,
  type StoredOperation
} from "../../domain/verdant/model/StoredItems.ts"
import { Timestamp } from "../../domain/verdant/model/Timestamp.ts"
import type { Replica } from "../../domain/verdant/State.ts"

/** The other server's library cannot be read, or is not a library. */
export class VerdantUnreadable extends Schema.TaggedError<VerdantUnreadable>()("VerdantUnreadable", {
  detail: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
}

/** A row's values by column name, unchecked. */
export type VerdantRow = Readonly<Record<string, unknown>>
type Rows = Stream.Stream<VerdantRow, VerdantUnreadable>

/** The tables of a library, all read at one moment. */
export interface VerdantTables {
  /** The table `ReplicaInfo`. */
  readonly replicas: Rows
  /** The table `OperationHistory`. */
  readonly operations: Rows
  /** The table `DocumentBaseline`. */
  readonly baselines: Rows
  /** The table `FileMetadata`. */
  readonly files: Rows
}

export interface VerdantLibrary {
  readonly content: FoldedLibrary
  /** Replicas that lack operations which are already compacted. They are reset when they come back. */
  readonly lapsed: number
  /** Operations and baselines that were left out, because the protocol does not allow them. */
  readonly malformed: number
}

/** The stream's first event brings the whole library, so all of it has this version. */
const VERSION = 1
/** Characters of operations and baselines: the payload is written and read as one string each. */
const MAX_LENGTH = 256 * 1024 * 1024

/** Reads a library. `truancy`: milliseconds after which the other server treated a silent replica as truant. */
export const readVerdantLibrary = Effect.fnUntraced(function* (tables: VerdantTables, truancy: number) {
  let [length, malformed] = [0, 0]
  /** Counts an item, and returns it; undefined when it is malformed. */
  const counted = <A extends { readonly text: string }, E>(decoded: Result.Result<A, E>): A | undefined => {
    if (Result.isFailure(decoded)) malformed += 1
    else length += decoded.success.text.length
    return Result.getOrUndefined(decoded)
  }
  const each = (rows: Rows, take: (row: VerdantRow) => void) =>
    Stream.runForEachArray(rows, (page) => {
      for (const row of page) take(row)
      return length > MAX_LENGTH
        ? Effect.fail(
            new VerdantUnreadable({
              detail: `the library has more than ${MAX_LENGTH} characters, the most that one event can hold`
            })
          )
        : Effect.void
    })

  const baselines = new Map<string, StoredBaseline>()
  yield* each(tables.baselines, (row) => {
    const baseline = counted(baselineOf(row))
    if (baseline !== undefined) baselines.set(baseline.oid, storedBaseline(baseline))
  })

  /** By time and entity: a history that a replica restored is in the table a second time, under that replica. */
  const operations = new Map<string, StoredOperation>()
  const wrote = new Map<string, string>()
  const orders: Array<number> = []
  yield* each(tables.operations, (row) => {
    if (typeof row["serverOrder"] === "number") orders.push(row["serverOrder"])
    const operation = counted(operationOf(row))
    if (operation === undefined) return
    const { oid, replicaId, timestamp } = operation
    operations.set(`${timestamp} ${oid}`, operation)
    if ((wrote.get(replicaId) ?? "") < timestamp) wrote.set(replicaId, timestamp)
  })

  const rows: Array<ReplicaRow> = []
  let lapsed = 0
  yield* each(tables.replicas, (row) => {
    const replica = Option.getOrUndefined(decodeReplica(row))
    if (replica === undefined) lapsed += 1
    else rows.push(replica)
  })
  const progress = makeProgress(orders, rows, truancy)
  const continuing = rows.filter(progress.canCatchUp)
  const content: FoldedLibrary = {
    watermark: progress.watermark,
    foldedUpTo: 0,
    replicas: continuing.map((row) => replicaOf(row, progress.hasAll(row), wrote.get(row.id) ?? null)),
    files: [],
    baselines: Array.from(baselines.values()),
    operations: Array.from(operations.values()).sort(byTimestamp)
  }
  return { content, lapsed: lapsed + rows.length - continuing.length, malformed } satisfies VerdantLibrary
})

// ------------------------------------------------------------------------------------------------------------ rows

const ReplicaRow = Schema.Struct({
  id: ReplicaId,
  clientId: UserId,
  type: ReplicaType,
  lastSeenWallClockTime: Schema.NullOr(Schema.Finite),
  ackedLogicalTime: Schema.NullOr(Timestamp),
  ackedServerOrder: Schema.Int
})
type ReplicaRow = typeof ReplicaRow.Type

const decodeReplica = Schema.decodeUnknownOption(ReplicaRow)
const isReplicaId = Schema.is(ReplicaId)

const operationOf = ({
  authz,
  data,
  oid,
  replicaId,
  timestamp
}: VerdantRow): Result.Result<StoredOperation, unknown> =>
  isReplicaId(replicaId)
    ? Result.flatMap(parse(data), (data) =>
        Result.map(decodeOperation({ oid, timestamp, authz, data }), (operation) => ({
          ...operation,
          owner: ownerOf(operation.authz),
          ...{ replicaId, version: VERSION }
        }))
      )
    : Result.fail(undefined)

const baselineOf = ({ authz, oid, snapshot, timestamp }: VerdantRow): Result.Result<Baseline, unknown> =>
  Result.flatMap(parse(snapshot), (snapshot) => decodeBaseline({ oid, timestamp, authz, snapshot }))

const parse = (text: unknown): Result.Result<unknown, unknown> =>
  Result.try(() => (text === null ? null : JSON.parse(String(text))))

// -------------------------------------------------------------------------------------------------------- progress

/**
 * The progress of the replicas, and the watermark. All operations come with one event, so a replica that lacks some of them
 * is sent them all. That is harmless: a client recognises an operation that it has by its entity and time.
 */
const makeProgress = (unordered: ReadonlyArray<number>, rows: ReadonlyArray<ReplicaRow>, truancy: number) => {
  const orders = unordered.toSorted((a, b) => a - b)
  const last = orders[orders.length - 1] ?? 0
  /** The last time at which the other server was active. */
  const end = rows.reduce((end, { lastSeenWallClockTime: seen }) => Math.max(end, seen ?? 0), 0)
  const isWaitedFor = ({ lastSeenWallClockTime: seen }: ReplicaRow) => seen !== null && seen > end - truancy
  // As the other server last computed it: clients have compacted up to there, which cannot be undone.
  const promises = rows.flatMap((row) => (row.type < 2 && isWaitedFor(row) ? (row.ackedLogicalTime ?? []) : []))
  return {
    watermark: promises.reduce<string | null>((low, promise) => (low === null || promise < low ? promise : low), null),
    // Equal, not greater: numbers beyond the last come from before a restart of the numbering, so they say nothing.
    hasAll: ({ ackedServerOrder: acked }: ReplicaRow): boolean => acked === last,
    /**
     * Whether a replica can be sent everything that it lacks. It can if the server waited for it, because nothing that it
     * lacks is compacted. A truant can if every number after its own is still there.
     */
    canCatchUp: (row: ReplicaRow): boolean => {
      const lacks = last - row.ackedServerOrder
      return isWaitedFor(row) || lacks === 0 || orders[orders.length - lacks] === row.ackedServerOrder + 1
    }
  }
}

const replicaOf = (row: ReplicaRow, hasAll: boolean, wrote: string | null): Replica => ({
  id: row.id,
  userId: row.clientId,
  type: row.type,
  promise: row.ackedLogicalTime,
  received: hasAll ? VERSION : 0,
  wrote,
  seen: row.lastSeenWallClockTime ?? 0,
  isTruant: false,
  joinedAt: VERSION,
  asOf: ""
})
