/**
 * The files that a library's data refers to, the users who wrote the references, and those who see them.
 *
 * The state holds the references as an index, which each event extends by the items that it brings. To collect them from all
 * entities for a download would take as long as the library is large, and a cache would be stale after every write.
 */
import { HashMap, Option, Schema } from "effect"
import { FileId } from "../Ids.ts"
import { type Entity, isRef, type Patch } from "./model/Patch.ts"

/** The text in every reference to a file, in JSON as clients and this server write it. */
const MARK = '"@@type":"file"'

/** Users, and whether each could read the file when it wrote its reference. */
type Authors = ReadonlyMap<string, boolean>

export interface References {
  /** The authors of references that all users see. */
  readonly shared: Authors
  /** The users with references in documents of their own. */
  readonly own: Authors
}

/**
 * Every file that a baseline or an operation refers to. A reference that a newer operation removed counts as well, until it
 * is compacted: an older operation that is still to come may change the outcome.
 */
export type FileReferences = HashMap.HashMap<string, References>

interface Item {
  readonly text: string
  readonly patch?: Patch
  readonly owner: string | null
}

export interface ReferenceAuthor {
  /** The author of the items; `UNKNOWN` if the log does not say who wrote them first. */
  readonly userId: string
  readonly mayRead: (fileId: FileId) => boolean
}

/** References of a restored or imported library, or from the time when compactions recorded no authors. All of them count. */
export const UNKNOWN: ReferenceAuthor = { userId: "", mayRead: () => true }

const noAuthors: Authors = new Map()

/** Adds the references of baselines or operations. */
export const withReferences = (
  before: FileReferences,
  items: Iterable<Item>,
  author: ReferenceAuthor
): FileReferences => {
  let after = before
  for (const { owner, patch, text } of items) {
    if (!text.includes(MARK)) continue
    for (const fileId of fileRefsOf(patch ?? JSON.parse(text))) {
      const { own, shared } = referencesTo(after, fileId) ?? { own: noAuthors, shared: noAuthors }
      const [authors, userId] = owner === null ? [shared, author.userId] : [own, owner]
      const couldRead = authors.get(userId)
      if (couldRead === true) continue
      const canRead = author.mayRead(fileId)
      if (couldRead === canRead) continue
      const more: Authors = new Map(authors).set(userId, canRead)
      after = HashMap.set(after, fileId, owner === null ? { own, shared: more } : { own: more, shared })
    }
  }
  return after
}

/** The references to a file; undefined: nothing refers to it. */
export const referencesTo = (references: FileReferences, fileId: FileId): References | undefined =>
  Option.getOrUndefined(HashMap.get(references, fileId))

/** References as a compaction holds them: the file, and the authors of `shared` and `own`. */
export type StoredReferences = readonly [
  fileId: string,
  shared: ReadonlyArray<readonly [string, boolean]>,
  own: ReadonlyArray<readonly [string, boolean]>
]

export const storedReferences = (references: FileReferences): ReadonlyArray<StoredReferences> =>
  Array.from(
    HashMap.toEntries(references),
    ([fileId, { own, shared }]): StoredReferences => [
      fileId,
      Array.from(shared).sort(byName),
      Array.from(own).sort(byName)
    ]
  ).sort(byName)

const byName = (
  [a]: readonly [string, ...ReadonlyArray<unknown>],
  [b]: readonly [string, ...ReadonlyArray<unknown>]
) => (a < b ? -1 : a > b ? 1 : 0)

/**
 * The references that are left after a compaction. `items`: those in what it holds, of unknown authors. `before`: those
 * before it; undefined: an older server wrote it.
 */
export const leftReferences = (
  items: FileReferences,
  before: ReadonlyArray<StoredReferences> | undefined
): FileReferences => {
  if (before === undefined) return items
  const known = new Map(before.map(([fileId, shared, own]) => [fileId, { shared: new Map(shared), own: new Map(own) }]))
  return HashMap.map(items, ({ own, shared }, fileId) => {
    const authors = known.get(fileId)
    if (authors === undefined) return { own, shared }
    return {
      shared: shared.size === 0 ? shared : authors.shared,
      own: new Map(Array.from(own, ([userId, couldRead]) => [userId, authors.own.get(userId) ?? couldRead]))
    }
  })
}

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
