/** Libraries of a Verdant server, brought into the log: their clients go on with this server as if it were that one. */
import { Effect, Option, Result, Schema, type Scope, Stream } from "effect"
import { blake2b256 } from "../domain/Blake2b.ts"
import { LibraryId } from "../domain/Ids.ts"
import { toNewEvent, VERDANT } from "../domain/verdant/Events.ts"
import { encodeFolded } from "../domain/verdant/model/PayloadCodec.ts"
import { EventLog } from "../ports/EventLog.ts"
import { appendDecided } from "./appendDecision.ts"
import { type BroughtFiles, bringFiles, noFiles, type VerdantBytes } from "./transfer/VerdantFiles.ts"
import { readVerdantLibrary, type VerdantTables, type VerdantUnreadable } from "./transfer/VerdantRows.ts"

export type { VerdantBytes } from "./transfer/VerdantFiles.ts"
export { type VerdantRow, type VerdantTables, VerdantUnreadable } from "./transfer/VerdantRows.ts"

/** A library of a Verdant server, wherever that keeps it. */
export interface VerdantSource {
  /** As it is named there. */
  readonly libraryId: string
  readonly open: Effect.Effect<VerdantTables, VerdantUnreadable, Scope.Scope>
  /** Where its files are; undefined: they are left out. */
  readonly bytesOf?: VerdantBytes
}

/**
 * imported: it is in the log. empty: there is nothing to bring, as after an eviction; clients bring it when they come.
 * present: the log has, or had, Verdant data of this library. unreadable: it is damaged, or not a library.
 */
export type Outcome = "imported" | "empty" | "present" | "unreadable"

export interface ImportedLibrary extends BroughtFiles {
  readonly libraryId: string
  readonly outcome: Outcome
  /** Why; null: there is nothing to say. */
  readonly detail: string | null
  readonly operations: number
  readonly baselines: number
  /** Replicas that go on from where they are. */
  readonly replicas: number
  /** Replicas that had missed too much, and begin anew. */
  readonly lapsed: number
  /** Operations and baselines that were left out, because no client could have sent them. */
  readonly malformed: number
}

export interface ImportVerdantOptions {
  /** After how many milliseconds without a word the other server no longer waited for a replica. Default: a week. */
  readonly truancy?: number
  /** Reads all, and writes nothing. */
  readonly dryRun?: boolean
  readonly onProgress?: (done: number, total: number) => void
}

const WEEK_MILLIS = 7 * 86_400_000

/**
 * Each library becomes one event, in a transaction of its own; one at a time is held in memory. One that cannot be brought
 * keeps none of the others. The other server must have been stopped: what it takes afterwards is lost.
 *
 * Files follow their library one by one into the `BlobStore`, if there is one; those that a library lacks, because this was
 * interrupted or nobody knew where they were, are brought when it is called again.
 */
export const importVerdant = Effect.fn("importVerdant")(function* (
  sources: ReadonlyArray<VerdantSource>,
  options: ImportVerdantOptions = {}
) {
  const libraries: Array<ImportedLibrary> = []
  for (const source of sources) {
    const library = yield* importLibrary(source, options).pipe(
      Effect.catchTag("VerdantUnreadable", ({ detail }) => Effect.succeed(left(source, "unreadable", detail)))
    )
    libraries.push(library)
    options.onProgress?.(libraries.length, sources.length)
  }
  return libraries
})

const left = ({ libraryId }: VerdantSource, outcome: Outcome, detail: string | null): ImportedLibrary => ({
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
  if (libraryId === undefined) return left(source, "unreadable", "a library cannot be named so")
  const key = { libraryId, streamId: VERDANT }
  const present = left(source, "present", "the log has Verdant data of this library")
  const { bytesOf } = source
  const [head] = yield* (yield* EventLog).heads([key])
  if (head !== undefined && head.version > 0) {
    // To one that was evicted its clients bring their files again.
    if (bytesOf === undefined || head.generation > 0) return present
    const rows = yield* Stream.runCollect((yield* source.open).files)
    return { ...present, ...(yield* bringFiles(libraryId, rows, { bytesOf, dryRun })) }
  }
  const tables = yield* source.open
  const { folded, lapsed, malformed } = yield* readVerdantLibrary(tables, truancy)
  const rows = yield* Stream.runCollect(tables.files)
  const [operations, baselines] = [folded.operations.length, folded.baselines.length]
  if (operations + baselines === 0) return { ...left(source, "empty", null), malformed }
  const payload = encodeFolded(folded)
  const event = toNewEvent({ _tag: "Folded", before: 0, baselines, operations }, blake2b256(payload))
  const decided = yield* appendDecided(key, { origin: "sync-admin import verdant", dryRun }, (tail) =>
    tail.length > 0 ? Result.fail("present") : Result.succeed({ event, payload })
  )
  if (Result.isFailure(decided)) return present
  return {
    ...left(source, "imported", null),
    ...{ operations, baselines, replicas: folded.replicas.length, lapsed, malformed },
    ...(yield* bringFiles(libraryId, rows, { bytesOf, dryRun }))
  }
}, Effect.scoped)
