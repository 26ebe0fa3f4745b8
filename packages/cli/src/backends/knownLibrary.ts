/** A name is checked against the log before a command writes to it: a typo would make a library that stays for good. */
import { type DocumentId, EventLog, type LibraryId } from "@sealog/server/ports"
import * as Effect from "effect/Effect"
import { noSuchDocument, noSuchLibrary } from "../output/notFound.ts"

/** The names that need not exist yet. */
export interface MayBeNew {
  readonly newLibrary?: boolean
  readonly newDocument?: boolean
}

/** Fails with `NO_SUCH_LIBRARY` if the log holds nothing of the library. */
export const requireLibrary = (libraryId: LibraryId) => requireTarget({ libraryId })

/**
 * Fails with `NO_SUCH_LIBRARY` if the log holds nothing of the library, and with `NO_SUCH_DOCUMENT` if it holds nothing of the document:
 * "nothing to do" would hide a typo. A new library has new documents.
 */
export const requireTarget = Effect.fnUntraced(function* (
  target: { readonly libraryId: LibraryId; readonly documentId?: DocumentId },
  { newDocument = false, newLibrary = false }: MayBeNew = {}
) {
  const { documentId, libraryId } = target
  const log = yield* EventLog
  if ((yield* log.countStreams(libraryId)) === 0)
    return newLibrary ? undefined : yield* Effect.fail(noSuchLibrary(libraryId))
  if (documentId === undefined || newDocument) return
  const [head] = yield* log.heads([{ libraryId, streamId: documentId }])
  if (head?.version === 0) return yield* Effect.fail(noSuchDocument(libraryId, documentId))
})
