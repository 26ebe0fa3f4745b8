/** Lets deeds run on a log. */
import type { BlobStore, DocumentId, EventLog, LibraryId, Signals } from "@sealog/server/ports"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { type MayBeNew, requireTarget } from "../../knownLibrary.ts"

export interface LogOptions {
  /** The store of uploaded files; undefined: servers delete the files. */
  readonly files: Layer.Layer<BlobStore, unknown> | undefined
  /** The size of the log on disk. */
  readonly size: Effect.Effect<number, unknown>
}

export interface LogDeeds extends LogOptions {
  readonly on: <A, E>(deed: Effect.Effect<A, E, EventLog | Signals>) => Effect.Effect<A, unknown>
  /** As `on`; fails with `NO_SUCH_LIBRARY` if the log holds nothing of the library, which `newLibrary` allows. */
  readonly onKnown: <A, E>(
    libraryId: LibraryId | undefined,
    deed: Effect.Effect<A, E, EventLog | Signals>,
    mayBeNew?: MayBeNew
  ) => Effect.Effect<A, unknown>
  /** As `onKnown`; fails with `NO_SUCH_DOCUMENT` if a document is named that the library does not hold, which `newDocument` allows. */
  readonly onKnownDocument: <A, E>(
    target: { readonly libraryId?: LibraryId; readonly documentId?: DocumentId },
    deed: Effect.Effect<A, E, EventLog | Signals>,
    mayBeNew?: MayBeNew
  ) => Effect.Effect<A, unknown>
}

export const logDeeds = (services: Context.Context<EventLog | Signals>, options: LogOptions): LogDeeds => {
  const on: LogDeeds["on"] = (deed) => Effect.provide(deed, services)
  const onKnownDocument: LogDeeds["onKnownDocument"] = ({ libraryId, ...target }, deed, mayBeNew) =>
    on(libraryId === undefined ? deed : Effect.andThen(requireTarget({ libraryId, ...target }, mayBeNew), deed))
  return {
    ...options,
    on,
    onKnown: (libraryId, deed, mayBeNew) =>
      onKnownDocument(libraryId === undefined ? {} : { libraryId }, deed, mayBeNew),
    onKnownDocument
  }
}
