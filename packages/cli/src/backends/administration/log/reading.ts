/** Deeds that read what the log holds. */
import {
  documentBytesIn,
  eachEvent,
  endingsOf,
  isSuspended,
  listDocuments,
  makeNearestQuotas,
  showDocument,
  showLibrary,
  statistics
} from "@sealog/server/admin"
import { listLibraries } from "@sealog/server/ports"
import { chunksOf } from "effect/Array"
import * as Effect from "effect/Effect"
import { noSuchDocument, noSuchLibrary } from "../../../output/notFound.ts"
import { requireLibrary } from "../../knownLibrary.ts"
import type { Administration } from "../Administration.ts"
import type { LogDeeds } from "./LogDeeds.ts"

/** Libraries whose quotas are asked for at a time. */
const PAGE = 500

export const reading = ({
  on,
  onKnown,
  size
}: LogDeeds): Pick<
  Administration,
  "libraries" | "library" | "documents" | "document" | "eachEvent" | "statistics"
> => ({
  libraries: on(
    Effect.gen(function* () {
      const withNearestQuotas = yield* makeNearestQuotas()
      const pages = chunksOf(yield* listLibraries(), PAGE)
      return (yield* Effect.forEach(pages, withNearestQuotas)).flat()
    })
  ),
  library: (libraryId) =>
    on(
      Effect.gen(function* () {
        const details = yield* showLibrary(libraryId)
        if (details === undefined) return yield* Effect.fail(noSuchLibrary(libraryId))
        return { ...details, suspended: yield* isSuspended(libraryId) }
      })
    ),
  documents: (libraryId) =>
    on(
      Effect.gen(function* () {
        const streams = yield* listDocuments(libraryId)
        if (streams === undefined) return yield* Effect.fail(noSuchLibrary(libraryId))
        const documentBytes = yield* documentBytesIn(libraryId)
        const endingOf = yield* endingsOf(streams)
        return streams.map((stream) => ({
          ...stream,
          documentId: stream.key.streamId,
          ...endingOf(stream),
          documentBytes: documentBytes(stream)
        }))
      })
    ),
  document: (libraryId, documentId) =>
    onKnown(
      libraryId,
      Effect.gen(function* () {
        const found = yield* showDocument(libraryId, documentId)
        if (found === undefined) return undefined
        const { activeSnapshotId = null, evictedSnapshotId = null } = found
        const documentBytes = (yield* documentBytesIn(libraryId))(found)
        return {
          ...found,
          documentId,
          ...(yield* endingsOf([found]))(found),
          activeSnapshotId,
          evictedSnapshotId,
          documentBytes
        }
      })
    ),
  eachEvent: (scope, options, visit) =>
    on(
      Effect.catchTag(eachEvent(scope, options, visit), "NoSuchStream", () =>
        Effect.andThen(
          requireLibrary(scope.libraryId),
          Effect.fail(noSuchDocument(scope.libraryId, scope.streamId ?? ""))
        )
      )
    ),
  statistics: (libraryId) =>
    Effect.all([onKnown(libraryId, statistics(libraryId === undefined ? {} : { libraryId })), size]).pipe(
      Effect.map(([found, diskBytes]) => ({ ...found, diskBytes }))
    )
})
