/** Totals of a log: its libraries, documents, events and payloads. */
import { Effect } from "effect"
import type { LibraryId } from "../domain/Ids.ts"
import { eachStream } from "./Inspect.ts"

export interface Statistics {
  readonly libraries: number
  readonly documents: number
  /** Documents whose payloads were purged, by an eviction or a deletion. */
  readonly evictedDocuments: number
  readonly events: number
  readonly payloads: number
  readonly payloadBytes: number
  /** Milliseconds since 1970; null when the log is empty. */
  readonly createdAt: number | null
  readonly updatedAt: number | null
  /** By the size of their payloads, the largest first. */
  readonly largestLibraries: ReadonlyArray<Sized>
  readonly largestDocuments: ReadonlyArray<Sized & { readonly documentId: string }>
}

interface Sized {
  readonly libraryId: LibraryId
  readonly payloadBytes: number
}

const LARGEST = 5

/** The totals of all libraries, or of one. */
export const statistics = Effect.fn("statistics")(function* (filter: { readonly libraryId?: LibraryId }) {
  let [documents, evictedDocuments, events, payloads, payloadBytes] = [0, 0, 0, 0, 0]
  let [createdAt, updatedAt] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  let libraries = 0
  let library: { libraryId: LibraryId; payloadBytes: number } | undefined
  let largestLibraries: ReadonlyArray<Sized> = []
  let largestDocuments: ReadonlyArray<Sized & { readonly documentId: string }> = []
  const endLibrary = () => {
    if (library !== undefined) largestLibraries = withLargest(largestLibraries, library)
  }
  yield* eachStream(filter, (stream) =>
    Effect.sync(() => {
      const { libraryId, streamId } = stream.key
      events += stream.version
      payloads += stream.payloads
      payloadBytes += stream.payloadBytes
      createdAt = Math.min(createdAt, stream.createdAt)
      updatedAt = Math.max(updatedAt, stream.updatedAt)
      // The server's own streams belong to no library.
      if (libraryId.startsWith("@")) return
      if (library?.libraryId !== libraryId) {
        endLibrary()
        library = { libraryId, payloadBytes: 0 }
        libraries += 1
      }
      library.payloadBytes += stream.payloadBytes
      if (streamId.startsWith("@")) return
      documents += 1
      if (stream.ended) evictedDocuments += 1
      largestDocuments = withLargest(largestDocuments, {
        libraryId,
        documentId: streamId,
        payloadBytes: stream.payloadBytes
      })
    })
  )
  endLibrary()
  return {
    ...{ libraries, documents, evictedDocuments, events, payloads, payloadBytes, largestLibraries, largestDocuments },
    createdAt: Number.isFinite(createdAt) ? createdAt : null,
    updatedAt: Number.isFinite(updatedAt) ? updatedAt : null
  } satisfies Statistics
})

const withLargest = <A extends Sized>(largest: ReadonlyArray<A>, next: A): ReadonlyArray<A> =>
  [...largest, next].sort((a, b) => b.payloadBytes - a.payloadBytes).slice(0, LARGEST)
