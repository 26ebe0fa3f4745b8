/** A library's data as clients are sent it: each text is made once for all users who see the same. */
import { HashMap } from "effect"
import {
  byTimestamp,
  isVisibleTo,
  type StoredBaseline,
  type StoredOperation
} from "../../domain/verdant/model/StoredItems.ts"
import type { LibraryState } from "../../domain/verdant/State.ts"
import type { Batch } from "../../domain/verdant/UnfoldedBatches.ts"
import type { Part } from "../Frame.ts"
import type { Message } from "./Message.ts"
import { operationsRebroadcast } from "./Wire.ts"

/** JSON texts, separated by commas. */
export interface Contents {
  readonly operations: Part
  readonly baselines: Part
}

interface Everything extends Contents {
  /** Whether every user may see all of it. */
  readonly isPublic: boolean
}

const everything = new WeakMap<LibraryState["entities"], Everything>()

/** The whole library as far as a user may see it: the content of a reset. */
export const everythingFor = (state: LibraryState, userId: string): Contents => {
  const shared = everything.get(state.entities)
  if (shared?.isPublic === true) return shared
  let isPublic = true
  const baselines: Array<StoredBaseline> = []
  const operations: Array<StoredOperation> = []
  for (const entity of HashMap.values(state.entities)) {
    if (entity.baseline !== undefined) baselines.push(entity.baseline)
    for (const operation of entity.operations) operations.push(operation)
  }
  const sees = (item: { readonly owner: string | null }) => {
    if (item.owner !== null) isPublic = false
    return isVisibleTo(item, userId)
  }
  const contents = {
    operations: Buffer.from(textsOf(operations.filter(sees).sort(byTimestamp))),
    baselines: Buffer.from(textsOf(baselines.filter(sees).sort(byTimestamp)))
  }
  everything.set(state.entities, isPublic ? { ...contents, isPublic } : { operations: "", baselines: "", isPublic })
  return contents
}

export const textsOf = (items: ReadonlyArray<{ readonly text: string }>): string => items.map(({ text }) => text).join()

const shared = new WeakMap<Batch, Message | "by user">()

/**
 * The message with another replica's operations, as far as a user may see them; undefined: the user may see none. It holds
 * the watermark that rose with them, so that a client never knows a watermark before the operations that it covers.
 */
export const rebroadcastOf = (batch: Batch, userId: string, watermark: string | undefined): Message | undefined => {
  const found = shared.get(batch)
  if (found !== undefined && found !== "by user") return found
  const { baselines, operations, replicaId } = batch
  const mayAllSee = found === undefined && [...operations, ...baselines].every(({ owner }) => owner === null)
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
  shared.set(batch, mayAllSee ? made : "by user")
  return made
}

/** The newest timestamp of operations that a user is sent, with which the client acknowledges them. */
export const lastTimestamp = (batches: Iterable<Batch>, userId: string): string | undefined => {
  let last: string | undefined
  for (const { operations } of batches) {
    for (const operation of operations) {
      if (isVisibleTo(operation, userId) && (last === undefined || operation.timestamp > last))
        last = operation.timestamp
    }
  }
  return last
}
