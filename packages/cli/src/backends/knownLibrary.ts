/** A name is checked against the log before a command writes to it: a typo would make a library that stays for good. */
import { type DocumentId, EventLog, type LibraryId } from "@sealog/server/ports"
import * as Effect from "effect/Effect"
import { noSuchDocument, noSuchLibrary } from "../output/notFound.ts"

/** Fails with `NO_SUCH_LIBRARY` if the log holds nothing of the library. */
export const requireLibrary = Effect.fnUntraced(function* (libraryId: LibraryId) {
  const { countStreams } = yield* EventLog
  if ((yield* countStreams(libraryId)) === 0) return yield* Effect.fail(noSuchLibrary(libraryId))
})

/** Fails with `NO_SUCH_DOCUMENT` if the log holds nothing of the document: "nothing to do" would hide a typo. */
export const requireDocument = Effect.fnUntraced(function* (libraryId: LibraryId, documentId: DocumentId) {
  const [head] = yield* (yield* EventLog).heads([{ libraryId, streamId: documentId }])
  if (head?.version === 0) return yield* Effect.fail(noSuchDocument(libraryId, documentId))
})
