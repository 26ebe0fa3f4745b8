/**
 * Verdant libraries for the app that embeds the server: documents as their users see them, and changes.
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
import type { LibraryRefusal } from "../../domain/verdant/Commands.ts"
import { documentSnapshot, type FileView } from "../../domain/verdant/views/DocumentSnapshot.ts"
import type { LibraryChange } from "../../domain/verdant/views/LibraryChange.ts"
import { BlobStore } from "../../ports/BlobStore.ts"
import { type EventLog, StorageUnavailable } from "../../ports/EventLog.ts"
import type { Signals } from "../../ports/Signals.ts"
import { Committer } from "../../rooms/Committer.ts"
import { Quotas } from "../../rooms/Quotas.ts"
import type { Outcome } from "../../rooms/RoomProtocol.ts"
import { makeChangeFeed } from "./ChangeFeed.ts"
import { FileLinks, linkTo } from "./files/FileLinks.ts"
import { defaultFileOptions, type FileOptions } from "./files/FileOptions.ts"
import { LibraryRooms, libraryKey } from "./Rooms.ts"

/** The document's parts refer to each other so often that the document is too large to be assembled. */
export class DocumentTooLarge extends Schema.TaggedError<DocumentTooLarge>()("DocumentTooLarge", {
  collection: Schema.String,
  documentId: Schema.String
}) {}

export class VerdantLibraries extends Context.Service<
  VerdantLibraries,
  {
    /**
     * A document with its objects and lists in place of references, as the log holds it now, whichever process wrote it;
     * undefined: there is none. It applies no access rules, so private documents are included.
     *
     * A file is `{id, name, type, size, alt, url}`. It has only its `id` if it is not stored here, `alt` if the document has
     * one, and `url` if this server serves files. The `url` begins with a slash unless `files.publicOrigin` is set.
     *
     * A library stays in memory while clients use it, and for a while after a call; then it is not read again.
     */
    readonly documentSnapshot: (
      libraryId: LibraryId,
      collection: string,
      documentId: string
    ) => Effect.Effect<unknown, StorageUnavailable | DocumentTooLarge>

    /**
     * The changes of a library after a version, or from now on, without an end. 0 begins with the first change.
     *
     * Each change is durable. Every listener receives every change once, in the order of the versions, whichever process or
     * command stored it. An app that records the last version it has processed continues after that version and misses
     * nothing; changes that were delivered but not recorded as processed are delivered again.
     *
     * The server keeps the content of a change until its library was compacted twice. A listener that comes later receives
     * a `Purged` instead, and reads the documents as they are. An eviction is an `Evicted`. Compaction, progress of replicas
     * and files are no changes.
     *
     * The stream reads the log as its consumer takes changes: a slow listener delays only itself. It waits for a storage
     * that is unavailable. An event that cannot be decoded is logged and tried again, so the stream waits at it.
     */
    readonly changes: (libraryId: LibraryId, after?: number) => Stream.Stream<LibraryChange>

    /**
     * The changes of all libraries, each in its own order; the order between libraries is undefined. `after` has a version
     * for each library: one that is missing begins with its first change. Without `after`, all begin with the next change
     * that is stored. Takes about a hundred bytes of memory per library. A library whose events cannot be decoded is logged
     * and tried again when it grows; it does not stop the others.
     */
    readonly allChanges: (after?: ReadonlyMap<LibraryId, number>) => Stream.Stream<LibraryChange>
  }
>()("@sealog/server/VerdantLibraries") {
  /** Every `SyncServer` layer includes it and provides it to the app. */
  static readonly layer = (files?: Partial<FileOptions>) => Layer.effect(VerdantLibraries, make(files))

  /** For a worker: a process that serves no clients, on a log that other processes serve. */
  static readonly layerWithoutServer = (
    files?: Partial<FileOptions>
  ): Layer.Layer<VerdantLibraries, never, EventLog | Signals> =>
    VerdantLibraries.layer(files).pipe(
      Layer.provide(LibraryRooms.layer()),
      Layer.provide([Committer.layer, Quotas.layer()])
    )
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
    // Makes the room read what other processes wrote.
    const outcome = yield* Effect.callback<Outcome<LibraryRefusal>["_tag"]>((resume) =>
      room.submit({ _tag: "Look" }, ORIGIN, ({ _tag }) => resume(Effect.succeed(_tag)))
    )
    if (outcome === "Failed") {
      return yield* Effect.die(new Error("The library's room failed; the server log has the cause"))
    }
    if (outcome === "Unavailable") {
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
