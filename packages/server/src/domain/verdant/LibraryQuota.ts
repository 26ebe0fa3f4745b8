/** The quota of a library's Verdant data: which of a message's operations, which replicas and which files it has room for. */
import { HashMap } from "effect"
import type { FileId } from "../Ids.ts"
import { defaultQuota, type LogUse, type Quota } from "../Quota.ts"
import type { DecisionContext } from "./Context.ts"
import { referencesTo } from "./FileReferences.ts"
import { onlyTakesAway } from "./model/EntitySize.ts"
import type { Items } from "./model/PayloadCodec.ts"
import type { OwnedOperation } from "./model/StoredItems.ts"
import type { LibraryState } from "./State.ts"

/** The use that a library makes of its quota. */
export type LibraryUse = Pick<Quota, "objects" | "operations" | "bytes" | "replicas" | "files" | "fileBytes"> & LogUse

export const useOf = (state: LibraryState, logUse: LogUse = logUseOf(state, {})): LibraryUse => {
  const { bytes, entities, fileBytes, files, operations, replicas } = state
  return {
    ...{ objects: HashMap.size(entities), operations, bytes },
    ...{ replicas: replicas.size, files: files.size, fileBytes, ...logUse }
  }
}

/** The quota of a decision, and the use of the log beside it. */
type Bounds = Pick<DecisionContext, "quota" | "logUse">

const logUseOf = ({ version }: LibraryState, { logUse }: Pick<Bounds, "logUse">): LogUse =>
  logUse ?? { events: version, payloadBytes: 0 }

/**
 * The room that deletions have beyond the quotas of operations, bytes and the log, as a part of them. They are stored like other
 * operations, and only their compaction makes a library smaller.
 */
const ROOM_FOR_DELETIONS = 1 / 8

/** Whether a library has room for all these items. `bytes`: of their payload. */
export const hasRoomFor = (state: LibraryState, items: Items, bytes: number, bounds: Bounds): boolean =>
  fits(state, items, bytes, bounds, 1) &&
  hasRoomForObjects(state, items, bounds.quota) &&
  hasRoomForReferences(state, items, bounds.quota)

/** Whether a library has room for deletions. `bytes`: of their payload. */
export const hasRoomForDeletions = (state: LibraryState, deletions: Items, bytes: number, bounds: Bounds): boolean =>
  fits(state, deletions, bytes, bounds, 1 + ROOM_FOR_DELETIONS)

const fits = (state: LibraryState, { operations }: Items, bytes: number, bounds: Bounds, factor: number): boolean => {
  const { quota } = bounds
  const { events, payloadBytes } = logUseOf(state, bounds)
  return (
    state.bytes + bytes <= quota.bytes * factor &&
    state.operations + operations.length <= quota.operations * factor &&
    events < quota.events * factor &&
    payloadBytes + bytes <= quota.payloadBytes * factor
  )
}

const hasRoomForObjects = ({ entities }: LibraryState, { baselines, operations }: Items, quota: Quota): boolean => {
  const room = quota.objects - HashMap.size(entities)
  // Nearly always: then no object is looked up.
  if (operations.length + baselines.length <= room) return true
  const added = new Set<string>()
  for (const { oid } of baselines) if (!HashMap.has(entities, oid)) added.add(oid)
  for (const { oid } of operations) if (!HashMap.has(entities, oid)) added.add(oid)
  return added.size === 0 || added.size <= room
}

/** Files that documents may refer to, for each that the quota allows: until they are compacted, replaced ones count as well. */
const REFERRED_FILES = 2

/** The server holds some 400 bytes for each file that a document refers to, also if nobody has uploaded it. */
const hasRoomForReferences = (
  { fileReferences }: LibraryState,
  { baselines, operations }: Items,
  quota: Quota
): boolean => {
  const added = new Set<FileId>()
  for (const items of [baselines, operations]) {
    for (const { files } of items) {
      for (const fileId of files) if (referencesTo(fileReferences, fileId) === undefined) added.add(fileId)
    }
  }
  // An operator who allows fewer files stops uploads, and not what documents say.
  const most = Math.max(quota.files, defaultQuota.files) * REFERRED_FILES
  return added.size === 0 || HashMap.size(fileReferences) + added.size <= most
}

/**
 * The operations that take something away from what a library holds. A message that exceeds the quota keeps only these: if it
 * kept some of the others, an object could refer to one that was refused.
 */
export const deletionsIn = (
  { entities }: LibraryState,
  operations: ReadonlyArray<OwnedOperation>
): ReadonlyArray<OwnedOperation> =>
  operations.filter(({ oid, outline }) => onlyTakesAway(outline) && HashMap.has(entities, oid))

/** Whether a replica that the library does not remember may join. */
export const hasRoomForReplica = ({ replicas }: LibraryState, quota: Quota): boolean => replicas.size < quota.replicas

/** The bytes that a file may have, which replaces the one with its id; negative: the library has no room for a file. */
export const roomForFile = (state: LibraryState, fileId: FileId, bounds: Bounds): number => {
  const { quota } = bounds
  const { fileBytes, files } = state
  if (logUseOf(state, bounds).events >= quota.events) return -1
  const replaced = files.get(fileId)
  if (replaced === undefined && files.size >= quota.files) return -1
  return quota.fileBytes - fileBytes + (replaced?.size ?? 0)
}
