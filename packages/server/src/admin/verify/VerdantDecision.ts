/** Decides an event of a Verdant library again: from the event, reconstructs the command and what the server knew. */
import { Result } from "effect"
import { canonicalJson } from "../../domain/CanonicalJson.ts"
import type { StreamEvent } from "../../domain/Stream.ts"
import type { LibraryCommand, LibraryRefusal, Sync } from "../../domain/verdant/Commands.ts"
import { leftBehind, leftBehindBy, portionOf } from "../../domain/verdant/Compaction.ts"
import { contextOfLogAlone, type DecisionContext, type Offer } from "../../domain/verdant/Context.ts"
import {
  decide,
  decideCompaction,
  decideMerge,
  decideWritten,
  evictionOf,
  type LibraryDecision
} from "../../domain/verdant/Decide.ts"
import type { LibraryEvent, ReplicaId } from "../../domain/verdant/Events.ts"
import { decodeFolded, decodeItems, decodeMerged, type FoldedLibrary } from "../../domain/verdant/model/PayloadCodec.ts"
import { ownerOfReplica } from "../../domain/verdant/ReplicaOwners.ts"
import { SERVER_REPLICA } from "../../domain/verdant/ServerWrites.ts"
import { entityOf, isEmpty, type LibraryState, type Replica } from "../../domain/verdant/State.ts"
import { isWaitedFor, isWorthwhile, type RecordedProgress } from "../../domain/verdant/Watermark.ts"

type Event<Tag extends LibraryEvent["_tag"]> = Extract<LibraryEvent, { _tag: Tag }>
type Decided = Result.Result<LibraryDecision, LibraryRefusal>

/** `next`: the state after the event. */
export const decideAgain = (
  state: LibraryState,
  event: StreamEvent,
  decoded: Exclude<LibraryEvent, Event<"CursorsAdvanced">>,
  payload: Uint8Array | null,
  next: LibraryState
): Decided => {
  const context = contextOfLogAlone({ now: event.recordedAt, truancy: Number.POSITIVE_INFINITY })
  const decideOn = (command: LibraryCommand) => decide(state, command, context)
  switch (decoded._tag) {
    case "ReplicaJoined":
      return decide(
        decoded.reset || state.replicas.has(decoded.replicaId) ? state : asIfNew(state),
        joinCommand(state, decoded),
        withAllReceived(state, decoded.replicaId, decoded.sentAll === true ? afterRestore(context) : context)
      )
    case "OperationsStored":
      return decideOperationsAgain(state, decoded, payload!, context)
    case "Folded":
      return decideCompactionAgain(state, next)
    case "OperationsMerged":
      return decideMergeAgain(state, decoded, payload!)
    case "CheckpointBegun":
      return decideOn({ _tag: "BeginCheckpoint" })
    case "CheckpointPart":
      return decideOn({ _tag: "WriteCheckpointPart", of: decoded.of, part: decoded.part, payload: payload! })
    case "CheckpointEnded":
      return decideOn({ _tag: "EndCheckpoint", of: decoded.of, parts: decoded.parts })
    case "Pruned":
      return decideOn({ _tag: "PurgePayloads" })
    case "ReplicaForgotten":
      return decideOn({ _tag: "ForgetReplica", replicaId: decoded.replicaId })
    case "ReplicaMadeTruant":
      return decideOn({ _tag: "MakeTruant", replicaId: decoded.replicaId })
    case "RestoreLeased":
      return decide(asIfNew(state), restoreCommand(state, decoded), withAllReceived(state, decoded.replicaId, context))
    case "FileStored": {
      const { _tag, ...file } = decoded
      // Until 28 November 2026, version 0.1.0 let a user replace the file of another one.
      return decide({ ...state, files: new Map(), formerFiles: new Map() }, { _tag: "StoreFile", file }, context)
    }
    case "FilesSwept":
      return decideOn({ _tag: "SweepFiles", keep: event.recordedAt - lastOrphanedAt(state, decoded) - 1 })
    case "Deleted":
      return decideOn({ _tag: "DeleteLibrary" })
    case "AllowedAgain":
      return decideOn({ _tag: "AllowLibrary" })
    case "Evicted":
      // Until 28 November 2026, `evict` of version 0.1.0 refused only if the stream's last event was an eviction. It so evicted
      // an empty library again, for example while a replica was asked to restore it. That deleted nothing.
      return state.version > state.checkpoint ? Result.succeed(evictionOf(state)) : decideOn({ _tag: "EvictLibrary" })
  }
}

/** Until 28 November 2026, version 0.1.0 took a library whose objects were all deleted for a new one. */
const asIfNew = (state: LibraryState): LibraryState => (isEmpty(state) ? { ...state, foldedUpTo: 0 } : state)

const noSync: Omit<Sync, "replicaId" | "userId" | "type" | "since"> = {
  ...({ _tag: "Sync", timestamp: "", resyncAll: false, isPolling: false } as const),
  ...{ operations: [], baselines: [] }
}

/** The event says by itself that the log was restored before it: no other stream tells when that was. */
const afterRestore = (context: DecisionContext): DecisionContext => ({
  ...context,
  restoredAt: Number.POSITIVE_INFINITY
})

/** A client may be reset for reasons that the log does not say, so a reset is taken for one that the client asked for. */
const joinCommand = (state: LibraryState, { asOf, replicaId, reset, type, userId }: Event<"ReplicaJoined">): Sync => {
  const before = state.replicas.get(replicaId)
  const since = reset || before === undefined ? null : before.asOf
  return { ...noSync, replicaId, userId, type, timestamp: asOf, since, resyncAll: reset }
}

const restoreCommand = (state: LibraryState, { replicaId }: Event<"RestoreLeased">): Sync => {
  const userId = ownerOfReplica(state, replicaId) ?? ""
  return { ...noSync, replicaId, userId, type: 0, since: "" }
}

/** Only the process that served a replica knew what it had received, so it counts as having everything. */
const withAllReceived = (
  { version }: LibraryState,
  replicaId: ReplicaId,
  context: DecisionContext,
  offer?: Offer
): DecisionContext => {
  const known = { received: version, offer, isUnanswered: false }
  const unknown = { seen: undefined, promise: undefined, asked: undefined }
  return { ...context, known: new Map([[replicaId, { ...known, ...unknown }]]) }
}

/** A reset that its client has not settled. */
const pendingReset: Offer = {
  ...{ asOf: "", before: null, isReset: true, isSettled: false, at: Number.NEGATIVE_INFINITY, ripensIn: undefined }
}

const decideOperationsAgain = (
  state: LibraryState,
  { authorMayLack, replicaId, role, sentAll, type, userId }: Event<"OperationsStored">,
  payload: Uint8Array,
  context: DecisionContext
): Decided => {
  const author = { replicaId, userId, type, ...(role !== undefined && { role }) }
  const { baselines, operations } = decodeItems(payload)
  if (sentAll === true) {
    const command = { ...noSync, ...author, since: null, operations, baselines }
    return decide(state, command, afterRestore(context))
  }
  if (replicaId === SERVER_REPLICA && baselines.length === 0) return decideWritten(state, operations, context)
  if (isEmpty(state) && authorMayLack === undefined) {
    const restored = decide(asIfNew(state), { ...noSync, ...author, since: null, operations, baselines }, context)
    if (Result.isSuccess(restored) || baselines.length > 0) return restored
  }
  const informed = withAllReceived(state, replicaId, context, authorMayLack === true ? pendingReset : undefined)
  const command: LibraryCommand = { _tag: "StoreOperations", ...author, operations }
  const decided = decide(state, command, informed)
  if (Result.isFailure(decided) || decided.success.event.type !== "ReplicaForgotten") return decided
  // Until 28 November 2026, version 0.1.0 stored operations below the watermark also if a newer one of their entity was there.
  return decide({ ...state, watermark: null }, command, informed)
}

/**
 * The payload of a compaction names what each replica had received. The replicas that it did not wait for are those that
 * lacked something that it merged. A compaction is one of many slices, so it need not merge all that it could.
 */
const decideCompactionAgain = (state: LibraryState, next: LibraryState): Decided => {
  const replicas = new Map<ReplicaId, Replica>()
  for (const replica of state.replicas.values()) {
    const received = next.replicas.get(replica.id)?.received ?? null
    const isPossible = received === null || (received >= replica.joinedAt && received <= state.version)
    replicas.set(replica.id, isPossible ? { ...replica, received } : replica)
  }
  const informed = { ...state, replicas }
  const truants = leftBehind(informed, next)
  return decideCompaction(informed, {
    isTruant: (replica) => replica.isTruant || truants.has(replica),
    portion: portionOf(next)
  })
}

/** As above: the replicas that the slice did not wait for are those that lacked something that it merged. */
const decideMergeAgain = (
  state: LibraryState,
  { cursors = {} }: Event<"OperationsMerged">,
  payload: Uint8Array
): Decided => {
  const replicas = new Map(state.replicas)
  for (const [id, { received }] of Object.entries(cursors)) {
    const replica = replicas.get(id as ReplicaId)
    if (replica !== undefined && received !== undefined) replicas.set(replica.id, { ...replica, received })
  }
  const known = { ...state, replicas }
  const slice = new Map(decodeMerged(payload))
  const merged = Array.from(slice).flatMap(([oid, count]) => entityOf(state, oid)?.operations.slice(0, count) ?? [])
  const truants = leftBehindBy(known, merged)
  return decideMerge(state, known, {
    isTruant: (replica) => replica.isTruant || truants.has(replica),
    oids: slice.keys(),
    portion: (_, mergeable) => Math.min(mergeable.length, slice.get(mergeable[0]!.oid) ?? 0)
  })
}

/** Whether two compactions hold the same, in whatever order. `written`: possibly by an older server, which wrote less. */
export const isSameCompaction = (again: Uint8Array | null, written: Uint8Array | null): boolean => {
  if (again === null || written === null) return false
  const [a, b] = [decodeFolded(again), decodeFolded(written)]
  const { fileReferences, formerFiles, formerReplicas, ...older } = a
  const recent = {
    ...(b.formerFiles !== undefined && formerFiles !== undefined && { formerFiles }),
    ...(b.formerReplicas !== undefined && formerReplicas !== undefined && { formerReplicas }),
    ...(b.fileReferences !== undefined && fileReferences !== undefined && { fileReferences })
  }
  return canonicalCompaction({ ...older, ...recent }) === canonicalCompaction(b)
}

const canonicalCompaction = ({ baselines, operations, ...rest }: FoldedLibrary): string =>
  canonicalJson({
    ...rest,
    operations: operations.map(({ replicaId, text, version }) => `${version} ${replicaId} ${text}`).toSorted(),
    baselines: baselines.map(({ text }) => text).toSorted()
  })

/** Files without references for as long as the longest of the deleted ones are deleted with it. */
const lastOrphanedAt = ({ files }: LibraryState, { deleted }: Event<"FilesSwept">): number =>
  Math.max(Number.NEGATIVE_INFINITY, ...deleted.map((fileId) => files.get(fileId)?.orphanedAt ?? 0))

/** Why an event cannot have recorded its progress; undefined: it can. */
export const progressProblem = (state: LibraryState, event: LibraryEvent): string | undefined => {
  const { cursors = {}, watermark }: RecordedProgress = "cursors" in event || "watermark" in event ? event : {}
  for (const [id, { received }] of Object.entries(cursors)) {
    const replica = state.replicas.get(id as ReplicaId)
    if (replica === undefined) return `it records the progress of ${id}, which is no replica of the library`
    if (received === undefined) continue
    if (received > state.version) return `${id} has received more than there was`
    if (received < replica.joinedAt) return `${id} has received less than when it joined`
  }
  if (watermark !== undefined) {
    if (state.watermark !== null && watermark < state.watermark) return "the watermark fell"
    if (watermark === state.watermark) return "the watermark did not rise"
    const promises = Array.from(state.replicas.values())
      .filter(isWaitedFor)
      .map(({ id, promise }) => (Object.hasOwn(cursors, id) ? cursors[id]?.promise : undefined) ?? promise)
    if (!promises.includes(watermark)) return "no replica promised to send nothing older than the watermark"
  }
  if (
    event._tag === "CursorsAdvanced" &&
    !isWorthwhile(state, { cursors, ...(watermark !== undefined && { watermark }) })
  ) {
    return "it records nothing that matters"
  }
  return undefined
}

const laterFields: Readonly<Record<string, ReadonlyArray<string>>> = {
  Evicted: ["replicas", "files"],
  FilesSwept: ["keepsOwners"],
  OperationsStored: ["olderMayFollow"],
  ReplicaForgotten: ["userId"]
}

/** An event's data, without the fields that an older server did not write, unless they are in the event. */
export const fieldsAsIn = (data: object, { type, data: written }: StreamEvent): object => {
  const fields = laterFields[type] ?? []
  return Object.fromEntries(Object.entries(data).filter(([field]) => !fields.includes(field) || field in written))
}

export const withoutProgress = (data: object): Readonly<Record<string, unknown>> => {
  const { cursors, watermark, ...rest } = data as Readonly<Record<string, unknown>>
  return rest
}

export const describeRefusal = ({ _tag }: LibraryRefusal): string => {
  switch (_tag) {
    case "AnothersReplica":
      return "the replica is another user's"
    case "AnothersFile":
      return "the file is another user's"
    case "ImplausibleVersion":
      return "its schema version is far above the library's"
    case "NothingNew":
      return "all of it was stored before, or its author may not write it"
    case "AwaitRestore":
    case "RestoreAsked":
      return "another replica was restoring the library, or the same was asked for that before"
    case "TooLate":
      return "the operations came too late"
    case "AlreadyBeingReset":
      return "the replica was being reset"
    case "NotJoined":
      return "the replica had not joined"
    case "QuotaReached":
      return "the library had no room for it"
    case "LibraryEmpty":
      return "the server does not write to a library without content"
    case "TooLarge":
      return "it makes an object too large"
    case "ClockBehind":
      return "it is not later than what the library held, or too far ahead"
    case "NothingToDo":
      return "there was nothing to do"
    case "LibraryDeleted":
      return "the library was deleted"
  }
}
