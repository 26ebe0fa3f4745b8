/**
 * The files that a library's data refers to, the users who wrote the references, and those who see them.
 *
 * The state holds the references as an index, which each event extends by the items that it brings. To collect them from all
 * entities for a download would take as long as the library is large, and a cache would be stale after every write.
 */
import { HashMap, Option } from "effect"
import type { FileId } from "../Ids.ts"

/** Users, and whether each could read the file when it wrote its reference. */
type Authors = ReadonlyMap<string, boolean>

export interface References {
  /** The authors of references that all users see. */
  readonly shared: Authors
  /** The users with references in documents of their own. */
  readonly own: Authors
  /** The number of items with references that all users see. */
  readonly sharedItems: number
  /** The number of items with references in documents of a user's own, by user. */
  readonly ownItems: ReadonlyMap<string, number>
}

/**
 * Every file that a baseline or an operation refers to. A reference that a newer operation removed counts as well, until it
 * is compacted: an older operation that is still to come may change the outcome.
 */
export type FileReferences = HashMap.HashMap<string, References>

interface Item {
  readonly files: ReadonlyArray<FileId>
  readonly owner: string | null
}

type Reference = readonly [fileId: FileId, owner: string | null]

export interface ReferenceAuthor {
  /** The author of the items; `UNKNOWN` if the log does not say who wrote them first. */
  readonly userId: string
  readonly mayRead: (fileId: FileId) => boolean
}

/** References of a restored or imported library, or from the time when compactions recorded no authors. All of them count. */
export const UNKNOWN: ReferenceAuthor = { userId: "", mayRead: () => true }

const noReferences: References = { shared: new Map(), own: new Map(), sharedItems: 0, ownItems: new Map() }

/** Adds the references of baselines or operations. */
export const withReferences = (
  before: FileReferences,
  items: Iterable<Item>,
  author: ReferenceAuthor
): FileReferences =>
  changed(before, referencesIn(items), (references, fileId, owner) => {
    const counted = withItem(references, owner)
    const [authors, userId] = owner === null ? [counted.shared, author.userId] : [counted.own, owner]
    const couldRead = authors.get(userId)
    const canRead = couldRead === true || author.mayRead(fileId)
    const more: Authors = couldRead === canRead ? authors : new Map(authors).set(userId, canRead)
    return owner === null ? { ...counted, shared: more } : { ...counted, own: more }
  })

/** Puts the references of baselines in the place of those of what was merged into them. Their authors stay. */
export const mergedReferences = (
  before: FileReferences,
  { baselines, merged }: { readonly baselines: Iterable<Item>; readonly merged: Iterable<Item> }
): FileReferences => {
  const { added, removed } = difference(referencesIn(baselines), referencesIn(merged))
  const after = changed(before, added, (references, _, owner) => {
    const counted = withItem(references, owner)
    if (owner === null) return counted
    const { own, shared } = counted
    // An operation that all see may be on a document of its author's own.
    const couldRead = own.get(owner) ?? shared.get(owner) ?? shared.get(UNKNOWN.userId) ?? true
    return { ...counted, own: new Map(own).set(owner, couldRead) }
  })
  return without(after, removed)
}

/** The references that come and go. Most of a long list are on both sides. */
const difference = (after: ReadonlyArray<Reference>, before: ReadonlyArray<Reference>) => {
  const left = new Map<string, Array<Reference>>()
  for (const reference of before) {
    const same = left.get(keyOf(reference))
    if (same === undefined) left.set(keyOf(reference), [reference])
    else same.push(reference)
  }
  const added = after.filter((reference) => left.get(keyOf(reference))?.pop() === undefined)
  return { added, removed: Array.from(left.values()).flat() }
}

/** A file's id has no space. */
const keyOf = ([fileId, owner]: Reference): string => (owner === null ? fileId : `${fileId} ${owner}`)

const withItem = (references: References, owner: string | null): References => {
  const { ownItems, sharedItems } = references
  if (owner === null) return { ...references, sharedItems: sharedItems + 1 }
  return { ...references, ownItems: new Map(ownItems).set(owner, (ownItems.get(owner) ?? 0) + 1) }
}

/** The references in items, each with the owner of its item. */
const referencesIn = (items: Iterable<Item>): ReadonlyArray<Reference> => {
  const found: Array<Reference> = []
  for (const { files, owner } of items) for (const fileId of files) found.push([fileId, owner])
  return found
}

/** Takes out the references of baselines or operations that are not there any more. */
export const withoutReferences = (before: FileReferences, items: Iterable<Item>): FileReferences =>
  without(before, referencesIn(items))

const without = (before: FileReferences, removed: ReadonlyArray<Reference>): FileReferences =>
  changed(before, removed, (references, _, owner) =>
    owner === null ? withoutShared(references) : withoutOwn(references, owner)
  )

/** Changes the references to each of the files. A file that nothing refers to is none of the index. */
const changed = (
  before: FileReferences,
  each: ReadonlyArray<Reference>,
  change: (references: References, fileId: FileId, owner: string | null) => References
): FileReferences => {
  if (each.length === 0) return before
  return HashMap.mutate(before, (index) => {
    for (const [fileId, owner] of each) {
      const after = change(referencesTo(index, fileId) ?? noReferences, fileId, owner)
      if (after.sharedItems > 0 || after.ownItems.size > 0) HashMap.set(index, fileId, after)
      else HashMap.remove(index, fileId)
    }
  })
}

/** The authors of shared references stay until the last one is gone. */
const withoutShared = (references: References): References => {
  const sharedItems = Math.max(references.sharedItems - 1, 0)
  return { ...references, sharedItems, shared: sharedItems === 0 ? noReferences.shared : references.shared }
}

const withoutOwn = (references: References, owner: string): References => {
  const [own, ownItems] = [new Map(references.own), new Map(references.ownItems)]
  const left = (ownItems.get(owner) ?? 0) - 1
  if (left > 0) ownItems.set(owner, left)
  else {
    ownItems.delete(owner)
    own.delete(owner)
  }
  return { ...references, own, ownItems }
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
  return HashMap.map(items, (references, fileId) => {
    const { own, shared } = references
    const authors = known.get(fileId)
    if (authors === undefined) return references
    return {
      ...references,
      shared: shared.size === 0 ? shared : authors.shared,
      own: new Map(Array.from(own, ([userId, couldRead]) => [userId, authors.own.get(userId) ?? couldRead]))
    }
  })
}

/** The references with the authors that a checkpoint names, which holds all items already. */
export const withAuthors = (items: FileReferences, stored: ReadonlyArray<StoredReferences>): FileReferences => {
  let after = items
  for (const [fileId, shared, own] of stored) {
    const references = referencesTo(after, fileId as FileId)
    if (references === undefined) continue
    after = HashMap.set(after, fileId, { ...references, shared: new Map(shared), own: new Map(own) })
  }
  return after
}
