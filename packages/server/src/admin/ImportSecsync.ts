/** Imports documents of a secsync-server into a library of the log. Their clients continue where they are. */
import { Clock, Effect, Option, Result, Schema } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { DocumentId, decodeDocumentId, type LibraryId } from "../domain/Ids.ts"
import { emptyHead, place, type StreamKey } from "../domain/Stream.ts"
import { toNewEvent } from "../domain/secsync/Events.ts"
import { EventLog, type PlacedEvent } from "../ports/EventLog.ts"
import { Signals } from "../ports/Signals.ts"
import { type DocumentRow, readSecsyncDocument, type SecsyncTables } from "./transfer/SecsyncRows.ts"

export { type DocumentRow, type SecsyncTables, SecsyncUnreadable } from "./transfer/SecsyncRows.ts"

export interface ImportedDocument {
  readonly documentId: string
  /**
   * - `imported`: the document is in the log now.
   * - `empty`: it has no snapshot there, and exists here without one.
   * - `present`: the log has, or had, a document of this id in the library.
   * - `refused`: its id, or its active snapshot or one of the updates to it, is not valid.
   */
  readonly outcome: "imported" | "empty" | "present" | "refused"
  /** The reason for a refusal. */
  readonly detail: string | null
  readonly snapshots: number
  readonly updates: number
  /** Older snapshots that were left out: see `DocumentHistory`. A client that knows only those cannot follow. */
  readonly leftOut: number
}

export interface ImportSecsyncOptions {
  readonly libraryId: LibraryId
  /** Only this document, by its id in the other database. */
  readonly documentId?: string
  /** Read and check everything, and write nothing. */
  readonly dryRun?: boolean
  readonly onProgress?: (done: number) => void
}

/** Rows per page. */
const PAGE = 200

/**
 * Imports each document in a transaction of its own, and returns the outcome of each. A document that cannot be imported does
 * not stop the others, and one that is there already is left alone, so the command can be repeated. Stop the other server
 * first: changes that it accepts after this are lost.
 */
export const importSecsync = Effect.fn("importSecsync")(function* (
  tables: SecsyncTables,
  { documentId, dryRun = false, libraryId, onProgress }: ImportSecsyncOptions
) {
  const imported: Array<ImportedDocument> = []
  let after = ""
  while (true) {
    const page = yield* tables.documents(after, PAGE)
    for (const row of page) {
      if (documentId !== undefined && row.id !== documentId) continue
      imported.push(yield* importDocument(tables, libraryId, row, dryRun))
      onProgress?.(imported.length)
    }
    after = page.at(-1)?.id ?? after
    if (page.length < PAGE) return imported as ReadonlyArray<ImportedDocument>
  }
})

const decodeId = Schema.decodeUnknownOption(DocumentId)

const importDocument = Effect.fnUntraced(function* (
  tables: SecsyncTables,
  libraryId: LibraryId,
  row: DocumentRow,
  dryRun: boolean
) {
  const report = (outcome: ImportedDocument["outcome"], detail: string | null = null): ImportedDocument => ({
    ...{ documentId: row.id, outcome, detail },
    ...{ snapshots: 0, updates: 0, leftOut: 0 }
  })
  const streamId = Option.getOrUndefined(decodeId(decodeDocumentId(row.id)))
  if (streamId === undefined) return report("refused", "the URL of a client does not carry such an id")
  const key = { libraryId, streamId }
  const [head] = yield* (yield* EventLog).heads([key])
  if (head !== undefined && head.version > 0) return report("present")
  const { activeSnapshotId } = row
  if (activeSnapshotId === null) {
    const now = yield* Clock.currentTimeMillis
    const event = place(key, emptyHead, toNewEvent({ _tag: "DocumentCreated" }, ""), "sync-admin import secsync", now)
    const isWritten = dryRun || (yield* append(key, [{ event, payload: null }]))
    return report(isWritten ? "empty" : "present")
  }
  const history = yield* readSecsyncDocument(tables, key, { id: row.id, activeSnapshotId })
  if (Result.isFailure(history)) return report("refused", history.failure)
  const { events, ...counts } = history.success
  const [first, ...rest] = events
  const isWritten = first !== undefined && (dryRun || (yield* append(key, [first, ...rest])))
  return isWritten ? { ...report("imported"), ...counts } : report("present")
})

/** Returns false if a client was faster and made the document. */
const append = Effect.fnUntraced(function* (key: StreamKey, events: NonEmptyReadonlyArray<PlacedEvent>) {
  const [result] = yield* (yield* EventLog).append([{ key, expectedVersion: 0, events }])
  if (result?._tag !== "Committed") return false
  yield* (yield* Signals).announce([key])
  return true
})
