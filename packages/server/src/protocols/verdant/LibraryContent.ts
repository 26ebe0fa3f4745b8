/** A library's data as clients are sent it: each text is made once for all users who see the same. */
import { HashMap } from "effect"
import { STEP_ITEMS, type Steps, sorted } from "../../domain/Steps.ts"
import {
  byTimestamp,
  isVisibleTo,
  type StoredBaseline,
  type StoredOperation
} from "../../domain/verdant/model/StoredItems.ts"
import type { LibraryState } from "../../domain/verdant/State.ts"
import { type Batch, newestFirst } from "../../domain/verdant/UnfoldedBatches.ts"
import type { Part } from "../Frame.ts"
import type { Message } from "./Message.ts"
import { operationsRebroadcast } from "./Wire.ts"

/** JSON texts, separated by commas. Each is given in parts, one after the other. */
export interface Contents {
  readonly operations: ReadonlyArray<Part>
  readonly baselines: ReadonlyArray<Part>
}

interface Everything extends Contents {
  /** Whether every user may see all of it. */
  readonly isPublic: boolean
}

const everything = new WeakMap<LibraryState["entities"], Everything>()

/** The whole library as far as a user may see it: the content of a reset. */
export const everythingFor = function* (state: LibraryState, userId: string): Steps<Contents, Uint8Array> {
  const shared = everything.get(state.entities)
  if (shared?.isPublic === true) return shared
  let isPublic = true
  const baselines: Array<StoredBaseline> = []
  const operations: Array<StoredOperation> = []
  const sees = (item: { readonly owner: string | null }) => {
    if (item.owner !== null) isPublic = false
    return isVisibleTo(item, userId)
  }
  let looked = 0
  for (const entity of HashMap.values(state.entities)) {
    if (entity.baseline !== undefined && sees(entity.baseline)) baselines.push(entity.baseline)
    if (++looked % STEP_ITEMS === 0) yield
    for (const operation of entity.operations) {
      if (sees(operation)) operations.push(operation)
      if (++looked % STEP_ITEMS === 0) yield
    }
  }
  const contents = {
    operations: yield* partsOf(yield* sorted(operations, byTimestamp)),
    baselines: yield* partsOf(yield* sorted(baselines, byTimestamp))
  }
  everything.set(state.entities, isPublic ? { ...contents, isPublic } : { operations: [], baselines: [], isPublic })
  return contents
}

/** Characters of a part; one item more if that is longer. */
const PART_LENGTH = 64 * 1024

/** The items' texts. Parts that are large are bytes, which several messages can share. They are also the yielded values. */
export const partsOf = function* (
  items: ReadonlyArray<{ readonly text: string }>
): Steps<ReadonlyArray<Part>, Uint8Array> {
  const parts: Array<Part> = []
  let texts: Array<string> = []
  let length = 0
  const take = (): string => {
    const text = (parts.length === 0 ? "" : ",") + texts.join()
    texts = []
    length = 0
    return text
  }
  for (const [i, { text }] of items.entries()) {
    texts.push(text)
    length += text.length
    if (length >= PART_LENGTH) {
      const bytes = Buffer.from(take())
      parts.push(bytes)
      yield bytes
    } else if (i % STEP_ITEMS === 0) yield
  }
  if (texts.length > 0) parts.push(take())
  return parts
}

const textsOf = (items: ReadonlyArray<{ readonly text: string }>): string => items.map(({ text }) => text).join()

/** The messages that are the same for all users, with the watermark and without it. */
interface SharedMessages {
  readonly withWatermark?: Message
  readonly without?: Message
}

const shared = new WeakMap<Batch, SharedMessages | "by user">()

/**
 * The message with another replica's operations, as far as a user may see them; undefined: the user may see none. It holds
 * the watermark that rose with them, so that a client never knows a watermark before the operations that it covers. Absent:
 * it did not rise, or this client may not hear it yet.
 */
export const rebroadcastOf = (batch: Batch, userId: string, watermark: string | undefined): Message | undefined => {
  const known = shared.get(batch)
  const forAll = known === "by user" ? undefined : known
  const kind = watermark === undefined ? "without" : "withWatermark"
  if (forAll?.[kind] !== undefined) return forAll[kind]
  const { baselines, operations, replicaId } = batch
  const mayAllSee = known !== "by user" && [...operations, ...baselines].every(({ owner }) => owner === null)
  const sees = (item: { readonly owner: string | null }) => isVisibleTo(item, userId)
  const visible = { operations: operations.filter(sees), baselines: baselines.filter(sees) }
  if (visible.operations.length + visible.baselines.length === 0) {
    shared.set(batch, "by user")
    return undefined
  }
  const made = operationsRebroadcast({
    replicaId,
    operations: textsOf([...visible.operations].sort(byTimestamp)),
    baselines: textsOf(visible.baselines),
    watermark
  })
  shared.set(batch, mayAllSee ? { ...forAll, [kind]: made } : "by user")
  return made
}

/** The newest timestamp of operations that a user is sent, with which the client acknowledges them. */
export const lastTimestamp = ({ operations }: Batch, userId: string): string | undefined => {
  let last: string | undefined
  for (const operation of operations) {
    if (isVisibleTo(operation, userId) && (last === undefined || operation.timestamp > last)) last = operation.timestamp
  }
  return last
}

/** The same for all operations of a library that are not compacted. */
export const lastTimestampOfAll = function* ({ batches }: LibraryState, userId: string): Steps<string | undefined> {
  let last: string | undefined
  let looked = 0
  for (const batch of newestFirst(batches)) {
    const newest = lastTimestamp(batch, userId)
    if (newest !== undefined && (last === undefined || newest > last)) last = newest
    looked += 1 + batch.operations.length
    if (looked < STEP_ITEMS) continue
    looked = 0
    yield
  }
  return last
}
