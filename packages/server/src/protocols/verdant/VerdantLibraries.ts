/**
 * Verdant's libraries, for the app that embeds the server: documents as their users see them, and what changes.
 *
 * ```ts
 * const libraries = yield* VerdantLibraries
 * yield* libraries.changes(LibraryId.make("groceries")).pipe(
 *   Stream.runForEach((change) => Console.log(change.version, change._tag))
 * )
 * ```
 */
import { Context, Effect, Layer, Option, Result, Schema, type Stream } from "effect"
import type { FileId, LibraryId } from "../../domain/Ids.ts"
import { documentSnapshot, type FileView } from "../../domain/verdant/views/DocumentSnapshot.ts"
import type { LibraryChange } from "../../domain/verdant/views/LibraryChange.ts"
import { BlobStore } from "../../ports/BlobStore.ts"
import { type EventLog, StorageUnavailable } from "../../ports/EventLog.ts"
import type { Signals } from "../../ports/Signals.ts"
import { Committer } from "../../rooms/Committer.ts"
import { makeChangeFeed } from "./ChangeFeed.ts"
import { FileLinks, linkTo } from "./files/FileLinks.ts"
import { defaultFileOptions, type FileOptions } from "./files/FileOptions.ts"
import { LibraryRooms, libraryKey } from "./Rooms.ts"

/** The document's parts refer to each other so often that it is too large to be put together. */
export class DocumentTooLarge extends Schema.TaggedError<DocumentTooLarge>()("DocumentTooLarge", {
  collection: Schema.String,
  documentId: Schema.String
}) {}

export class VerdantLibraries extends Context.Service<
  VerdantLibraries,
  {
    /**
     * A document with its objects and lists in their place, as it is in the log now, whichever process wrote it;
     * undefined: there is none. It asks nobody's leave: private documents are seen like others.
     *
     * A file is `{id, name, type, size, alt, url}`: `id` alone if it is not here, `alt` if its document has one, `url` if
     * this server serves files, and beginning with a slash if `files.publicOrigin` does not say what it is reached by.
     *
     * A library that is open, for its clients or since the last call a while ago, is not read again.
     */
    readonly documentSnapshot: (
      libraryId: LibraryId,
      collection: string,
      documentId: string
    ) => Effect.Effect<unknown, StorageUnavailable | DocumentTooLarge>

    /**
     * What changes in a library after a version, or from now on, without an end.
     *
     * What is told of is stored durably. It is told of in the order of the versions and once to each who listens, whichever
     * process or command stored it; so of several processes that listen, each is told of everything. An app that keeps
     * the last version it is done with goes on after it when it comes back, and misses nothing: it may be told again of
     * what it was not yet done with. 0 begins with a library's first change.
     *
     * The server keeps what changed until it has folded it twice. Who comes later than that is told of a `Purged` in its
     * place, and reads the documents as they are; an eviction is an `Evicted`. Folding, cursors and files are no changes.
     *
     * Changes are read from the log as they are taken: a slow listener holds nobody up, and only itself back. A storage
     * that is away is waited for.
     */
    readonly changes: (libraryId: LibraryId, after?: number) => Stream.Stream<LibraryChange>

    /**
     * The same of all libraries, each in its own order; nothing is said of the order among them. `after` has a version
     * for each: a library that is not in it begins with its first change. Without it, all begin with what is stored from
     * now on. A library's version is kept in memory, a hundred bytes or so.
     */
    readonly allChanges: (after?: ReadonlyMap<LibraryId, number>) => Stream.Stream<LibraryChange>
  }
>()("@sealog/server/VerdantLibraries") {
  /** Part of every `SyncServer` layer, which provides it to the app. */
  static readonly layer = (files?: Partial<FileOptions>) => Layer.effect(VerdantLibraries, make(files))

  /** For a process that serves no clients, on a log that others serve: a worker. */
  static readonly layerWithoutServer = (
    files?: Partial<FileOptions>
  ): Layer.Layer<VerdantLibraries, never, EventLog | Signals> =>
    VerdantLibraries.layer(files).pipe(Layer.provide(LibraryRooms.layer()), Layer.provide(Committer.layer))
}

const make = Effect.fnUntraced(function* (options?: Partial<FileOptions>) {
  const rooms = yield* LibraryRooms
  const changesOf = yield* makeChangeFeed
  const hasFiles = Option.isSome(yield* Effect.serviceOption(BlobStore))
  const signer = hasFiles ? Option.getOrUndefined(yield* Effect.serviceOption(FileLinks)) : undefined
  const { linkLifetime, publicOrigin: origin = "" } = { ...defaultFileOptions, ...options }

  const snapshotOf = Effect.fn("VerdantLibraries.documentSnapshot")(function* (
    libraryId: LibraryId,
    collection: string,
    documentId: string
  ) {
    const room = yield* rooms.get(libraryKey(libraryId))
    // Other processes may have written to it.
    const outcome = yield* Effect.callback<"seen" | "unavailable">((resume) =>
      room.submit({ _tag: "Look" }, ORIGIN, ({ _tag }) =>
        resume(Effect.succeed(_tag === "Unavailable" ? "unavailable" : "seen"))
      )
    )
    if (outcome === "unavailable") {
      return yield* new StorageUnavailable({ operation: "read a library", cause: new Error("not available") })
    }
    const files: Array<{ readonly fileId: FileId; readonly shown: LinkedFile }> = []
    const snapshot = documentSnapshot(room.state(), collection, documentId, (view, stored) => {
      const shown: LinkedFile = { ...view }
      if (stored !== undefined) files.push({ fileId: stored.fileId, shown })
      return shown
    })
    if (Result.isFailure(snapshot)) return yield* new DocumentTooLarge({ collection, documentId })
    if (signer !== undefined) {
      for (const [fileId, same] of Map.groupBy(files, ({ fileId }) => fileId)) {
        const url = yield* linkTo(signer, libraryId, fileId, { linkLifetime, origin })
        for (const { shown } of same) shown.url = url
      }
    }
    return snapshot.success
  }, Effect.scoped)

  return VerdantLibraries.of({
    documentSnapshot: snapshotOf,
    changes: (libraryId, after) =>
      changesOf(libraryId, after === undefined ? undefined : new Map([[libraryId, after]])),
    allChanges: (after) => changesOf(undefined, after)
  })
})

const ORIGIN = "@libraries"

interface LinkedFile extends FileView {
  url?: string
}
