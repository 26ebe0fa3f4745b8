/** Makes Secsync documents, where clients do not make them (`secsync.createDocuments: false`). */
import { Effect, Result } from "effect"
import type { DocumentId, LibraryId } from "../domain/Ids.ts"
import * as Secsync from "../domain/secsync/index.ts"
import { appendDecided } from "./appendDecision.ts"

/**
 * - `created`: the document is there and empty.
 * - `present`: it was there before.
 * - `deleted`: it was deleted for good, and must be allowed again first.
 */
export type Creation = "created" | "present" | "deleted"

/** Makes an empty document. The quota of documents is not asked: an operator may go beyond it. */
export const createDocument = Effect.fn("createDocument")(function* (libraryId: LibraryId, documentId: DocumentId) {
  const key = { libraryId, streamId: documentId }
  const decided = yield* appendDecided(key, { origin: "sync-admin document create" }, (tail) => {
    const state = Secsync.fold(
      documentId,
      tail.map(({ event }) => event)
    )
    return Result.map(Secsync.decide(state, { _tag: "CreateDocument" }), (event) => ({
      event: Secsync.toNewEvent(event, "")
    }))
  })
  if (Result.isSuccess(decided)) return "created" satisfies Creation
  return decided.failure._tag === "DocumentDeleted" ? "deleted" : "present"
}) satisfies (...args: never) => Effect.Effect<Creation, unknown, unknown>
