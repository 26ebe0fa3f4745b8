/**
 * Which files a library's entities refer to. Counted from the entities as they are, never from what patches take away:
 * a reference that is replaced by another to the same file, with a new text beside it, leaves the file where it was.
 */
import { Schema } from "effect"
import type { Oid } from "./Oid.ts"
import { type Entity, isRef } from "./Patch.ts"

/** Made by clients. The exact shape keeps paths and URLs out of every place that names a file. */
export const FileId = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_-]{1,128}$/)).pipe(Schema.brand("FileId"))
export type FileId = typeof FileId.Type

const isFileId = Schema.is(FileId)

const none: ReadonlySet<FileId> = new Set()

/** The files that an entity refers to itself. What else calls itself a file cannot be one that we hold. */
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

export interface FileChanges {
  /** Files to which there was no reference before. */
  readonly referenced: ReadonlyArray<FileId>
  /** Files to which there is none left. */
  readonly unreferenced: ReadonlyArray<FileId>
}

/** The files of one library, entity by entity. Changes itself: a library has many entities, an operation changes one. */
export class LiveFiles {
  readonly #filesByOid = new Map<Oid, ReadonlySet<FileId>>()
  readonly #entitiesByFile = new Map<FileId, number>()

  has(file: FileId): boolean {
    return this.#entitiesByFile.has(file)
  }

  /** The entity is now this; undefined if it does not exist. */
  set(oid: Oid, entity: Entity): FileChanges {
    const before = this.#filesByOid.get(oid) ?? none
    const after = fileRefsOf(entity)
    if (after.size === 0) this.#filesByOid.delete(oid)
    else this.#filesByOid.set(oid, after)
    // What is still referred to is counted up before it is counted down, and so never seems to be gone.
    return {
      referenced: Array.from(after).filter((file) => this.#count(file, 1) === 1),
      unreferenced: Array.from(before).filter((file) => this.#count(file, -1) === 0)
    }
  }

  #count(file: FileId, change: 1 | -1): number {
    const count = (this.#entitiesByFile.get(file) ?? 0) + change
    if (count === 0) this.#entitiesByFile.delete(file)
    else this.#entitiesByFile.set(file, count)
    return count
  }
}
