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
import type { LibraryCommand, LibraryRefusal } from "../../domain/verdant/Commands.ts"
import { changeProblem, type DocumentChange } from "../../domain/verdant/DocumentChange.ts"
import type { ReplicaId } from "../../domain/verdant/Events.ts"
import { IMPORTER } from "../../domain/verdant/Files.ts"
import { rootOid } from "../../domain/verdant/model/Oid.ts"
import { documentSnapshot } from "../../domain/verdant/views/DocumentSnapshot.ts"
import type { LibraryChange } from "../../domain/verdant/views/LibraryChange.ts"
import { libraryInfo, type VerdantInfo } from "../../domain/verdant/views/LibraryInfo.ts"
import { BlobStore, type BlobStoreUnavailable, type BlobTooLarge } from "../../ports/BlobStore.ts"
import { EventLog, type StorageUnavailable } from "../../ports/EventLog.ts"
import type { Signals } from "../../ports/Signals.ts"
import { Committer } from "../../rooms/Committer.ts"
import { Damage } from "../../rooms/Damage.ts"
import { Openings } from "../../rooms/Openings.ts"
import { Quotas } from "../../rooms/Quotas.ts"
import * as VerifiedEventLog from "../../rooms/VerifiedEventLog.ts"
import { makeChangeFeed } from "./ChangeFeed.ts"
import { newBlobKey } from "./files/BlobKeys.ts"
import { deleteEvictedFiles, filesOfGenerations } from "./files/EvictedFiles.ts"
import { AnothersFile, type FileRecord, type FilesFull, recordOf, VerdantFiles } from "./files/FileCatalog.ts"
import { displayName, mediaType } from "./files/FileHeaders.ts"
import { FileLinks } from "./files/FileLinks.ts"
import { defaultFileOptions, type FileOptions } from "./files/FileOptions.ts"
import { urlOfFile } from "./files/FileUrls.ts"
import { recordUpload } from "./files/RecordUpload.ts"
import { LibraryRooms } from "./Rooms.ts"
import { submitTo } from "./submitTo.ts"

/** The document's parts refer to each other so often that the document is too large to be assembled. */
export class DocumentTooLarge extends Schema.TaggedError<DocumentTooLarge>()("DocumentTooLarge", {
  collection: Schema.String,
  documentId: Schema.String
}) {}

/** The app asked for a file to be stored, and there is no `BlobStore`. */
export class NoFileStore extends Schema.TaggedError<NoFileStore>()("NoFileStore", {}) {
  override readonly message = "There is no store for files; provide a BlobStore"
}

/** The library does not take a write of the server. `reason` tells why, `message` also what to try. */
export class WriteRefused extends Schema.TaggedError<WriteRefused>()("WriteRefused", {
  reason: Schema.Literals(["LibraryEmpty", "LibraryDeleted", "QuotaReached", "TooLarge", "ClockBehind"])
}) {
  override get message() {
    return REFUSALS[this.reason]
  }
}

const REFUSALS: Readonly<Record<WriteRefused["reason"], string>> = {
  LibraryEmpty:
    "The library holds nothing: no client has written to it, or it was evicted and no client has restored it. Write again after a client has",
  LibraryDeleted: "The library was deleted for good. Allow it again before you write to it",
  QuotaReached: "The library has no room for the change. Raise its quota, or delete documents",
  TooLarge: "The change makes an object or a list larger than one may be. Split it into several",
  ClockBehind:
    "The library holds a time more than a minute ahead of this server's clock. Check the clocks, and write again later"
}

/** A file as the app sees it, in the shape of Verdant's `getFileInfo`, with its size. */
export interface FileInfo {
  readonly libraryId: LibraryId
  readonly id: string
  /** The name that its user gave it: to be shown, never to be used as a path. */
  readonly name: string
  readonly type: string
  readonly size: number
  /** Where it is downloaded. It begins with a slash unless `files.publicOrigin` is set; null: this process makes no links. */
  readonly url: string | null
}

export interface FileToStore {
  readonly id: FileId
  readonly name: string
  /** A media type; one that is malformed becomes `application/octet-stream`. */
  readonly type: string
  /**
   * The user who may replace the file, and read it before a document refers to it. Default: nobody's; every user of the
   * library may do so, as with Verdant's own server.
   */
  readonly userId?: string
}

export class VerdantLibraries extends Context.Service<
  VerdantLibraries,
  {
    /**
     * A document with its objects and lists in place of references, as the log holds it now, whichever process wrote it;
     * undefined: there is none. It applies no access rules, so private documents are included.
     *
     * A file is `{id, name, type, url}`, as in Verdant's own server; null if it is not stored here. The `url` begins with a
     * slash unless `files.publicOrigin` is set; it is null in a process that makes no links.
     *
     * A library stays in memory while clients use it, and for a while after a call; then it is not read again.
     */
    readonly documentSnapshot: (
      libraryId: LibraryId,
      collection: string,
      documentId: string
    ) => Effect.Effect<unknown, StorageUnavailable | DocumentTooLarge>

    /**
     * Changes a document as a client would, and returns once that is durable: connected clients are sent it at once, and others
     * when they come. `null` deletes the document. Returns false if the document was as the change wants it.
     *
     * The write is later than everything that the library holds, and clients merge it with their own as they do with any
     * other's. The library's quota holds for it, an access policy is not asked. Several processes may write at once. Dies with
     * a `TypeError` if the change or an id is malformed.
     */
    readonly update: (
      libraryId: LibraryId,
      collection: string,
      documentId: string,
      change: DocumentChange | null
    ) => Effect.Effect<boolean, StorageUnavailable | WriteRefused>

    /**
     * A library in numbers, and how far its replicas are; undefined: there is no data, or it was evicted and no client has
     * come back. The progress is as this process knows it: what other processes heard of replicas follows within seconds.
     */
    readonly info: (libraryId: LibraryId) => Effect.Effect<VerdantInfo | undefined, StorageUnavailable>

    /**
     * Marks a replica as truant, so that the server stops waiting for it. Unless it has everything when it comes back, it is
     * reset. Returns false when there is no such replica, or it is truant already.
     */
    readonly forceTruant: (libraryId: LibraryId, replicaId: ReplicaId) => Effect.Effect<boolean, StorageUnavailable>

    /**
     * Deletes a library's content and its files from the server. Clients keep theirs, and the next one that syncs restores
     * the library. Connected clients are told at once. Returns false when there is nothing to evict.
     */
    readonly evict: (libraryId: LibraryId) => Effect.Effect<boolean, StorageUnavailable | BlobStoreUnavailable>

    /** A file that was uploaded; undefined: there is none. It applies no access rules. */
    readonly fileInfo: (libraryId: LibraryId, fileId: FileId) => Effect.Effect<FileInfo | undefined, StorageUnavailable>

    /**
     * Stores a file for the app, as if a client had uploaded it: durably when it returns. A file without a reference in a
     * document is deleted after `keepFiles`. Fails if the bytes are more than `files.maxBytes` or the library's quota, or if
     * the file is another user's.
     */
    readonly uploadFile: <E>(
      libraryId: LibraryId,
      file: FileToStore,
      bytes: Stream.Stream<Uint8Array, E>
    ) => Effect.Effect<
      FileInfo,
      E | NoFileStore | FilesFull | AnothersFile | BlobTooLarge | BlobStoreUnavailable | StorageUnavailable
    >

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
      Layer.provide(VerdantFiles.layer),
      Layer.provide(LibraryRooms.layer()),
      Layer.provide([Committer.layer, Quotas.layer(), Openings.layer()]),
      Layer.provide(VerifiedEventLog.layer),
      Layer.provide(Damage.layer)
    )
}

const make = Effect.fnUntraced(function* (given?: Partial<FileOptions>) {
  const [rooms, files, log] = [yield* LibraryRooms, yield* VerdantFiles, yield* EventLog]
  const changesOf = yield* makeChangeFeed
  const store = Option.getOrUndefined(yield* Effect.serviceOption(BlobStore))
  const signer = Option.getOrUndefined(yield* Effect.serviceOption(FileLinks))
  const links = store === undefined ? undefined : signer
  const options = { ...defaultFileOptions, ...given }
  const urlOf = (libraryId: LibraryId, file: FileRecord) =>
    urlOfFile(libraryId, file, { ...options, links, origin: options.publicOrigin ?? "" })

  const submit = (libraryId: LibraryId, command: LibraryCommand) =>
    Effect.provideService(submitTo(libraryId, command), LibraryRooms, rooms)

  const snapshotOf = Effect.fn("VerdantLibraries.documentSnapshot")(function* (
    libraryId: LibraryId,
    collection: string,
    documentId: string
  ) {
    const { room } = yield* submit(libraryId, { _tag: "Look" })
    const shown: Array<{ readonly file: FileRecord; readonly view: LinkedFile }> = []
    const snapshot = documentSnapshot(room.state(), collection, documentId, (_, stored) => {
      if (stored === undefined) return null
      const view: LinkedFile = { id: stored.fileId, name: stored.name, type: stored.type, url: null }
      shown.push({ file: recordOf(stored), view })
      return view
    })
    if (Result.isFailure(snapshot)) return yield* new DocumentTooLarge({ collection, documentId })
    for (const same of Map.groupBy(shown, ({ file }) => file.fileId).values()) {
      const url = yield* urlOf(libraryId, same[0]!.file)
      for (const { view } of same) view.url = url
    }
    return snapshot.success
  }, Effect.scoped)

  const update = Effect.fn("VerdantLibraries.update")(function* (
    libraryId: LibraryId,
    collection: string,
    documentId: string,
    change: DocumentChange | null
  ) {
    const root = rootOid(collection, documentId)
    if (root === undefined) return yield* Effect.die(new TypeError(`${collection}/${documentId} names no document`))
    const problem = change === null ? undefined : changeProblem(change)
    if (problem !== undefined) return yield* Effect.die(new TypeError(`The change is malformed: ${problem}`))
    const { isStored, outcome } = yield* submit(libraryId, { _tag: "ChangeDocument", root, change })
    const refusal = outcome._tag === "Refused" ? outcome.refusal._tag : "NothingNew"
    return isRefusal(refusal) ? yield* new WriteRefused({ reason: refusal }) : isStored
  }, Effect.scoped)

  const info = Effect.fn("VerdantLibraries.info")(function* (libraryId: LibraryId) {
    const { room } = yield* submit(libraryId, { _tag: "Look" })
    return libraryInfo(room.state(), room.local.context())
  }, Effect.scoped)

  const forceTruant = Effect.fn("VerdantLibraries.forceTruant")(function* (libraryId: LibraryId, replicaId: ReplicaId) {
    return (yield* submit(libraryId, { _tag: "MakeTruant", replicaId })).isStored
  }, Effect.scoped)

  const evict = Effect.fn("VerdantLibraries.evict")(function* (libraryId: LibraryId) {
    const { isStored } = yield* submit(libraryId, { _tag: "EvictLibrary" })
    if (store !== undefined) {
      // Also after an earlier eviction, which may have been interrupted before it deleted the files.
      yield* Effect.flatMap(filesOfGenerations(libraryId), deleteEvictedFiles).pipe(
        Effect.provideService(BlobStore, store),
        Effect.provideService(EventLog, log)
      )
    }
    return isStored
  }, Effect.scoped)

  const viewOf = Effect.fnUntraced(function* (libraryId: LibraryId, file: FileRecord) {
    const { fileId, name, size, type } = file
    const url = yield* urlOf(libraryId, file)
    return { ...{ libraryId, name, type, size, url }, id: fileId } satisfies FileInfo
  })

  const fileInfo = Effect.fn("VerdantLibraries.fileInfo")(function* (libraryId: LibraryId, fileId: FileId) {
    const file = yield* files.find(libraryId, fileId)
    return file && (yield* viewOf(libraryId, file))
  })

  const uploadFile = Effect.fn("VerdantLibraries.uploadFile")(function* <E>(
    libraryId: LibraryId,
    { id: fileId, name, type, userId = IMPORTER }: FileToStore,
    bytes: Stream.Stream<Uint8Array, E>
  ) {
    if (store === undefined) return yield* new NoFileStore()
    if (!(yield* files.mayRecord(libraryId, fileId, userId))) return yield* new AnothersFile({ fileId })
    const room = yield* files.roomFor(libraryId, fileId)
    const blob = newBlobKey(libraryId, fileId)
    const stored = yield* store.put(blob, bytes, Math.min(room, options.maxBytes))
    const file: FileRecord = { ...stored, ...{ fileId, blob, userId }, name: displayName(name), type: mediaType(type) }
    yield* recordUpload(libraryId, file).pipe(
      Effect.provideService(BlobStore, store),
      Effect.provideService(VerdantFiles, files)
    )
    return yield* viewOf(libraryId, file)
  })

  return VerdantLibraries.of({
    ...{ documentSnapshot: snapshotOf, update, info, forceTruant, evict, fileInfo, uploadFile },
    changes: (libraryId, after) =>
      changesOf(libraryId, after === undefined ? undefined : new Map([[libraryId, after]])),
    allChanges: (after) => changesOf(undefined, after)
  })
})

const isRefusal = (tag: LibraryRefusal["_tag"]): tag is WriteRefused["reason"] => Object.hasOwn(REFUSALS, tag)

/** A file in a document, exactly as Verdant's own server shows it. */
interface LinkedFile {
  readonly id: string
  readonly name: string
  readonly type: string
  url: string | null
}
