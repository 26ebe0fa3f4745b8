/** Failures of a request, as errors of the API. */
import { Effect } from "effect"
import { errorText } from "../../domain/errorText.ts"
import type { DocumentId, LibraryId } from "../../domain/Ids.ts"
import type { BlobStoreUnavailable } from "../../ports/BlobStore.ts"
import { EventLog, type StorageUnavailable } from "../../ports/EventLog.ts"
import { LibraryDamaged, NotInLog, Unavailable } from "./AdminErrors.ts"

export const orUnavailable = <A, R>(
  effect: Effect.Effect<A, StorageUnavailable | BlobStoreUnavailable, R>
): Effect.Effect<A, Unavailable, R> => Effect.mapError(effect, ({ message }) => new Unavailable({ message }))

/** Reading Verdant data decodes every payload, and a damaged one does not decode, which is a defect. */
export const orDamaged = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | LibraryDamaged, R> =>
  Effect.catchDefect(effect, (defect) => Effect.fail(new LibraryDamaged({ message: errorText(defect) })))

/** Fails for a library that the log does not have. */
export const knownLibrary = (libraryId: LibraryId) => knownTarget({ libraryId })

/**
 * Fails for a library that the log does not have, and for a named document that the library does not have, unless they may be new. A new
 * library has new documents.
 */
export const knownTarget = Effect.fnUntraced(function* (
  target: { readonly libraryId: LibraryId; readonly documentId?: DocumentId | undefined },
  { newDocument = false, newLibrary = false }: { readonly newDocument?: boolean; readonly newLibrary?: boolean } = {}
) {
  const { documentId, libraryId } = target
  const streams = yield* EventLog.use((log) => orUnavailable(log.countStreams(libraryId)))
  if (streams === 0) return newLibrary ? undefined : yield* noSuchLibrary(libraryId)
  if (documentId === undefined || newDocument) return
  const [head] = yield* EventLog.use((log) => orUnavailable(log.heads([{ libraryId, streamId: documentId }])))
  if (head?.version === 0) return yield* noSuchDocument(libraryId, documentId)
})

export const noSuchLibrary = (libraryId: string) =>
  new NotInLog({ what: "library", message: `The log has no library ${libraryId}.` })

export const noSuchDocument = (libraryId: LibraryId, documentId: string) =>
  new NotInLog({ what: "document", message: `The library ${libraryId} has no document ${documentId}.` })
