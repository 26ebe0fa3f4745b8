/** Imports libraries of a Verdant server into the log. Their clients then sync with this server as if it were that one. */
import { Effect, Option, Result, Schema, type Scope, Stream } from "effect"
import { blake2b256 } from "../domain/Blake2b.ts"
import { LibraryId } from "../domain/Ids.ts"
import { toNewEvent, VERDANT } from "../domain/verdant/Events.ts"
import { encodeFolded } from "../domain/verdant/model/PayloadCodec.ts"
import { EventLog } from "../ports/EventLog.ts"
import { appendDecided } from "./appendDecision.ts"
import { type CopiedFiles, copyFiles, noFiles, type VerdantBytes } from "./transfer/VerdantFiles.ts"
import { readVerdantLibrary, type VerdantTables, type VerdantUnreadable } from "./transfer/VerdantRows.ts"

export type { VerdantBytes } from "./transfer/VerdantFiles.ts"
export { type VerdantRow, type VerdantTables, VerdantUnreadable } from "./transfer/VerdantRows.ts"

/** A library of a Verdant server. */
export interface VerdantSource {
  /** Its id on that server. */
  readonly libraryId: string
  readonly open: Effect.Effect<VerdantTables, VerdantUnreadable, Scope.Scope>
  /** Finds the bytes of its files. Default: files are left out. */
  readonly bytesOf?: VerdantBytes
}

/**
 * - `imported`: the library is in the log now.
 * - `empty`: the other server holds nothing of it, as after an eviction. A client restores it when it connects.
 * - `present`: the log has, or had, Verdant data of this library.
 * - `unreadable`: it is damaged, or not a library.
 */
export type Outcome = "imported" | "empty" | "present" | "unreadable"

export interface ImportedLibrary extends CopiedFiles {
  readonly libraryId: string
  readonly outcome: Outcome
  /** The reason for the outcome, if there is one to tell. */
  readonly detail: string | null
  readonly operations: number
  readonly baselines: number
  /** Replicas that continue from where they are. */
  readonly replicas: number
  /** Replicas that had missed too much. They are reset when they come back. */
  readonly lapsed: number
  /** Operations and baselines that were left out, because the protocol does not allow them. */
  readonly malformed: number
}

export interface ImportVerdantOptions {
  /** Milliseconds after which the other server treated a silent replica as truant. Default: a week. */
  readonly truancy?: number
  /** Read everything and write nothing. */
  readonly dryRun?: boolean
  readonly onProgress?: (done: number, total: number) => void
}

const WEEK_MILLIS = 7 * 86_400_000

/**
 * Imports each library as one event, in a transaction of its own, and returns the outcome of each. One library at a time is
 * in memory. A library that cannot be imported does not stop the others. Stop the other server first: changes that it
 * accepts after this are lost.
 *
 * After a library, its files are copied one by one into the `BlobStore`, if there is one. Another call copies the files that
 * are still missing, because an earlier one was interrupted or had no `bytesOf`.
 */
export const importVerdant = Effect.fn("importVerdant")(function* (
  sources: ReadonlyArray<VerdantSource>,
  options: ImportVerdantOptions = {}
) {
  const libraries: Array<ImportedLibrary> = []
  for (const source of sources) {
    const library = yield* importLibrary(source, options).pipe(
      Effect.catchTag("VerdantUnreadable", ({ detail }) => Effect.succeed(emptyReport(source, "unreadable", detail)))
    )
    libraries.push(library)
    options.onProgress?.(libraries.length, sources.length)
  }
  return libraries
})

const emptyReport = ({ libraryId }: VerdantSource, outcome: Outcome, detail: string | null): ImportedLibrary => ({
  ...{ libraryId, outcome, detail },
  ...{ operations: 0, baselines: 0, replicas: 0, lapsed: 0, malformed: 0 },
  ...noFiles
})

const decodeLibraryId = Schema.decodeUnknownOption(LibraryId)

const importLibrary = Effect.fnUntraced(function* (
  source: VerdantSource,
  { dryRun = false, truancy = WEEK_MILLIS }: ImportVerdantOptions
) {
  const libraryId = Option.getOrUndefined(decodeLibraryId(source.libraryId))
  if (libraryId === undefined)
    return emptyReport(
      source,
      "unreadable",
      "the library's id is empty, too long, or has characters that no id may have"
    )
  const key = { libraryId, streamId: VERDANT }
  const present = emptyReport(source, "present", "the log has Verdant data of this library")
  const { bytesOf } = source
  const [head] = yield* (yield* EventLog).heads([key])
  if (head !== undefined && head.version > 0) {
    // After an eviction, the library's clients upload their files again.
    if (bytesOf === undefined || head.generation > 0) return present
    const rows = yield* Stream.runCollect((yield* source.open).files)
    return { ...present, ...(yield* copyFiles(libraryId, rows, { bytesOf, dryRun })) }
  }
  const tables = yield* source.open
  const { content, lapsed, malformed } = yield* readVerdantLibrary(tables, truancy)
  const rows = yield* Stream.runCollect(tables.files)
  const [operations, baselines] = [content.operations.length, content.baselines.length]
  if (operations + baselines === 0) return { ...emptyReport(source, "empty", null), malformed }
  const payload = encodeFolded(content)
  const event = toNewEvent({ _tag: "Folded", before: 0, baselines, operations }, blake2b256(payload))
  const decided = yield* appendDecided(key, { origin: "sync-admin import verdant", dryRun }, (tail) =>
    tail.length > 0 ? Result.fail("present") : Result.succeed({ event, payload })
  )
  if (Result.isFailure(decided)) return present
  return {
    ...emptyReport(source, "imported", null),
    ...{ operations, baselines, replicas: content.replicas.length, lapsed, malformed },
    ...(yield* copyFiles(libraryId, rows, { bytesOf, dryRun }))
  }
}, Effect.scoped)
