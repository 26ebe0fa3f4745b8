/**
 * The files that a library's data refers to, and the users who see a reference to them.
 *
 * The state holds the references as an index, which each event extends by the items that it brings. To collect them from all
 * entities for a download would take as long as the library is large, and a cache would be stale after every write.
 */
import { HashMap, Option, Schema } from "effect"
import { FileId } from "../Ids.ts"
import { type Entity, isRef, type Patch } from "./model/Patch.ts"

/** The text in every reference to a file, in JSON as clients and this server write it. */
const MARK = '"@@type":"file"'

/** The users who see a reference to a file; null: all users do. */
export type Readers = ReadonlySet<string> | null

/**
 * Every file that a baseline or an operation refers to. A reference that a newer operation removed counts as well, until it
 * is compacted: an older operation that is still to come may change the outcome.
 */
export type FileReferences = HashMap.HashMap<string, Readers>

interface Item {
  readonly text: string
  readonly patch?: Patch
  readonly owner: string | null
}

/** Adds the references of baselines or operations. */
export const withReferences = (before: FileReferences, items: Iterable<Item>): FileReferences => {
  let after = before
  for (const { owner, patch, text } of items) {
    if (!text.includes(MARK)) continue
    for (const fileId of fileRefsOf(patch ?? JSON.parse(text))) {
      const readers = readersOf(after, fileId)
      if (readers === null || (owner !== null && readers?.has(owner) === true)) continue
      after = HashMap.set(after, fileId, owner === null ? null : new Set([...(readers ?? []), owner]))
    }
  }
  return after
}

/** The users who see a reference to a file; undefined: nothing refers to it. */
export const readersOf = (references: FileReferences, fileId: FileId): Readers | undefined =>
  Option.getOrUndefined(HashMap.get(references, fileId))

const isFileId = Schema.is(FileId)

const none: ReadonlySet<FileId> = new Set()

/** The files that an entity refers to itself. A reference with an id that no stored file can have is left out. */
export const fileRefsOf = (entity: Entity): ReadonlySet<FileId> => {
  let found: Set<FileId> | undefined
  const waiting: Array<unknown> = [entity]
  while (waiting.length > 0) {
    const value = waiting.pop()
    if (typeof value !== "object" || value === null) continue
    if (isRef(value)) {
      if (value["@@type"] === "file" && isFileId(value.id)) found = (found ?? new Set()).add(value.id)
      continue
    }
    for (const inner of Object.values(value)) if (typeof inner === "object") waiting.push(inner)
  }
  return found ?? none
}
