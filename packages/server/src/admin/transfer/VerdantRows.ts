/** What a Verdant server stores of a library, as a library of ours that goes on where that one stopped. */
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

/** The other server's library cannot be read, or is not one. */
export class VerdantUnreadable extends Schema.TaggedError<VerdantUnreadable>()("VerdantUnreadable", {
  detail: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
}

/** By the names of the columns; nothing of it was checked. */
export type VerdantRow = Readonly<Record<string, unknown>>
type Rows = Stream.Stream<VerdantRow, VerdantUnreadable>

/** The tables of a library, as they are at one moment. */
export interface VerdantTables {
  /** ReplicaInfo */
  readonly replicas: Rows
  /** OperationHistory */
  readonly operations: Rows
  /** DocumentBaseline */
  readonly baselines: Rows
  /** FileMetadata */
  readonly files: Rows
}

export interface VerdantLibrary {
  readonly folded: FoldedLibrary
  /** Replicas that lack what is folded, and begin anew when they come back. */
  readonly lapsed: number
  /** Operations and baselines that no client may send, and so none is sent. */
  readonly malformed: number
}

/** All that came from the other server came with the first event of the stream. */
const VERSION = 1
/** Characters: the payload, and the text that it is read from again, are one string each. */
const MAX_LENGTH = 256 * 1024 * 1024

/** `truancy`: after how many milliseconds without a word that server no longer waited for a replica. */
export const readVerdantLibrary = Effect.fnUntraced(function* (tables: VerdantTables, truancy: number) {
  let [length, malformed] = [0, 0]
  /** The item; undefined when it is none. */
  const judge = <A extends { readonly text: string }, E>(decoded: Result.Result<A, E>): A | undefined => {
    if (Result.isFailure(decoded)) malformed += 1
    else length += decoded.success.text.length
    return Result.getOrUndefined(decoded)
  }
  const each = (rows: Rows, take: (row: VerdantRow) => void) =>
    Stream.runForEachArray(rows, (page) => {
      for (const row of page) take(row)
      return length > MAX_LENGTH
        ? Effect.fail(new VerdantUnreadable({ detail: "the library is larger than one event can be" }))
        : Effect.void
    })

  const baselines = new Map<string, StoredBaseline>()
  yield* each(tables.baselines, (row) => {
    const baseline = judge(baselineOf(row))
    if (baseline !== undefined) baselines.set(baseline.oid, storedBaseline(baseline))
  })

  /** By what they are told apart by: a history that a replica brought back is there a second time, as its own. */
  const operations = new Map<string, StoredOperation>()
  const wrote = new Map<string, string>()
  const orders: Array<number> = []
  yield* each(tables.operations, (row) => {
    if (typeof row["serverOrder"] === "number") orders.push(row["serverOrder"])
    const operation = judge(operationOf(row))
    if (operation === undefined) return
    const { oid, replicaId, timestamp } = operation
    operations.set(`${timestamp} ${oid}`, operation)
    if ((wrote.get(replicaId) ?? "") < timestamp) wrote.set(replicaId, timestamp)
  })

  const rows: Array<typeof ReplicaRow.Type> = []
  let lapsed = 0
  yield* each(tables.replicas, (row) => {
    const replica = Option.getOrUndefined(decodeReplica(row))
    if (replica === undefined) lapsed += 1
    else rows.push(replica)
  })
  const progress = makeProgress(orders, rows, truancy)
  const able = rows.filter(progress.canCatchUp)
  const folded: FoldedLibrary = {
    watermark: progress.watermark,
    foldedUpTo: 0,
    replicas: able.map((row) => replicaOf(row, progress.hasAll(row), wrote.get(row.id) ?? null)),
    files: [],
    baselines: Array.from(baselines.values()),
    operations: Array.from(operations.values()).sort(byTimestamp)
  }
  return { folded, lapsed: lapsed + rows.length - able.length, malformed } satisfies VerdantLibrary
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
 * What replicas have. All operations come with one event, so who lacks some of them has none and is sent them all again,
 * which changes nothing where they are: clients tell operations apart by entity and time, as we do.
 */
const makeProgress = (unordered: ReadonlyArray<number>, rows: ReadonlyArray<ReplicaRow>, truancy: number) => {
  const orders = unordered.toSorted((a, b) => a - b)
  const last = orders[orders.length - 1] ?? 0
  /** When that server last did something. */
  const end = rows.reduce((end, { lastSeenWallClockTime: seen }) => Math.max(end, seen ?? 0), 0)
  const isWaitedFor = ({ lastSeenWallClockTime: seen }: ReplicaRow) => seen !== null && seen > end - truancy
  // As that server reckoned it when it last did: clients have folded up to there, which nothing undoes.
  const promises = rows.flatMap((row) => (row.type < 2 && isWaitedFor(row) ? (row.ackedLogicalTime ?? []) : []))
  return {
    watermark: promises.reduce<string | null>((low, promise) => (low === null || promise < low ? promise : low), null),
    // Numbers beyond the last were given before numbers began again: nobody knows what such a replica has.
    hasAll: ({ ackedServerOrder: acked }: ReplicaRow): boolean => acked === last,
    /**
     * Whether it can be sent all that it lacks: nothing is folded before all who are waited for have it; the others can
     * if every number after theirs is there.
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
