/** The catalog of a library's files. Their bytes are in the `BlobStore`, under keys that only the catalog knows. */
import { Context, Effect, Layer, Schema } from "effect"
import { FileId, type Hash, type LibraryId } from "../../../domain/Ids.ts"
import type { StreamEvent } from "../../../domain/Stream.ts"
import type { LibraryCommand, LibraryRefusal } from "../../../domain/verdant/Commands.ts"
import { fromStreamEvent } from "../../../domain/verdant/Events.ts"
import { mayUpload } from "../../../domain/verdant/FileOwners.ts"
import { mayRead } from "../../../domain/verdant/Files.ts"
import { roomForFile } from "../../../domain/verdant/LibraryQuota.ts"
import type { LibraryState, StoredFile } from "../../../domain/verdant/State.ts"
import { BlobKey } from "../../../ports/BlobStore.ts"
import { EventLog, StorageUnavailable } from "../../../ports/EventLog.ts"
import type { Outcome } from "../../../rooms/RoomProtocol.ts"
import { type LibraryRoom, LibraryRooms, libraryKey } from "../Rooms.ts"

export interface FileRecord {
  readonly fileId: FileId
  /** The name that its user gave it: to be shown, never to be used as a path. */
  readonly name: string
  /** The media type that its uploader declared. */
  readonly type: string
  readonly size: number
  readonly hash: Hash
  /** The key of its bytes. */
  readonly blob: BlobKey
  /** The user who uploaded it. */
  readonly userId: string
}

/** The library has as many files as its quota, or as many bytes in them. */
export class FilesFull extends Schema.TaggedError<FilesFull>()("FilesFull", { libraryId: Schema.String }) {
  override get message(): string {
    return `The library ${this.libraryId} has reached its quota of files`
  }
}

/** The file was uploaded by another user, so it stays as it is. */
export class AnothersFile extends Schema.TaggedError<AnothersFile>()("AnothersFile", { fileId: FileId }) {
  override get message(): string {
    return `The file ${this.fileId} was uploaded by another user; upload it under an id of its own`
  }
}

export class VerdantFiles extends Context.Service<
  VerdantFiles,
  {
    /** The bytes that a file with this id may have. Fails if the library has no room for it. */
    readonly roomFor: (libraryId: LibraryId, fileId: FileId) => Effect.Effect<number, FilesFull | StorageUnavailable>
    /** Whether a user may upload a file with this id: there is none, or it is the user's own. */
    readonly mayRecord: (
      libraryId: LibraryId,
      fileId: FileId,
      userId: string
    ) => Effect.Effect<boolean, StorageUnavailable>

    /** Records a file whose bytes are stored. Returns the file that it replaced, whose bytes can be deleted. */
    readonly record: (
      libraryId: LibraryId,
      file: FileRecord
    ) => Effect.Effect<FileRecord | undefined, FilesFull | AnothersFile | StorageUnavailable>

    /** A file; undefined: there is none that `reader` may read. Without a reader: any file. */
    readonly find: (
      libraryId: LibraryId,
      fileId: FileId,
      reader?: string
    ) => Effect.Effect<FileRecord | undefined, StorageUnavailable>

    /** The blobs of all files of the library. No file refers to any other blob in its group. */
    readonly blobs: (libraryId: LibraryId) => Effect.Effect<ReadonlySet<BlobKey>, StorageUnavailable>
  }
>()("@sealog/server/protocols/verdant/VerdantFiles") {
  /** Keeps the catalog in the library's stream. */
  static readonly layer = Layer.effect(
    VerdantFiles,
    Effect.gen(function* () {
      const [rooms, log] = [yield* LibraryRooms, yield* EventLog]
      const submit = (room: LibraryRoom, command: LibraryCommand) =>
        Effect.callback<Outcome<LibraryRefusal>>((resume) =>
          room.submit(command, ORIGIN, (outcome) => resume(Effect.succeed(outcome)))
        ).pipe(
          Effect.flatMap((outcome) => {
            switch (outcome._tag) {
              case "Unavailable":
                return Effect.fail(
                  new StorageUnavailable({ operation: "write to the library", cause: new Error("it is not available") })
                )
              case "Failed":
                return Effect.die(new Error("The library's room failed; the server log has the cause"))
              default:
                return Effect.succeed(outcome)
            }
          })
        )

      const roomFor = Effect.fnUntraced(function* (libraryId: LibraryId, fileId: FileId) {
        const room = yield* rooms.get(libraryKey(libraryId))
        const look = () => roomForFile(room.state(), fileId, room.local.context())
        // Another process may have deleted files: read what this room has not seen.
        if (look() < 0) yield* submit(room, { _tag: "Look" })
        const bytes = look()
        return bytes < 0 ? yield* new FilesFull({ libraryId }) : bytes
      }, Effect.scoped)

      const record = Effect.fnUntraced(function* (libraryId: LibraryId, file: FileRecord) {
        const room = yield* rooms.get(libraryKey(libraryId))
        const before = room.state()
        const outcome = yield* submit(room, { _tag: "StoreFile", file })
        if (outcome._tag === "Refused") {
          return yield* outcome.refusal._tag === "AnothersFile"
            ? new AnothersFile({ fileId: file.fileId })
            : new FilesFull({ libraryId })
        }
        return outcome._tag === "Stored" ? yield* replacedSince(room, before, file.fileId, outcome.event) : undefined
      }, Effect.scoped)

      /** The file that an event replaced. Other uploads of it may have been stored since the state that was looked at. */
      const replacedSince = Effect.fnUntraced(function* (
        { key }: LibraryRoom,
        { files, version }: LibraryState,
        fileId: FileId,
        event: StreamEvent
      ) {
        const stored = files.get(fileId)
        let last = stored && recordOf(stored)
        if (event.version === version + 1) return last
        const limit = event.version - version - 1
        for (const { event } of yield* log.read(key, { after: version, limit, payloads: false })) {
          const decoded = fromStreamEvent(event)
          if (decoded._tag === "FileStored" && decoded.fileId === fileId) {
            last = recordOf({ ...decoded, storedAt: event.recordedAt, orphanedAt: null })
          }
          // The bytes of these are deleted already.
          else if (decoded._tag === "Evicted" || decoded._tag === "Deleted") last = undefined
          else if (decoded._tag === "FilesSwept" && decoded.deleted.includes(fileId)) last = undefined
        }
        return last
      })

      const mayRecord = Effect.fnUntraced(function* (libraryId: LibraryId, fileId: FileId, userId: string) {
        const room = yield* rooms.get(libraryKey(libraryId))
        const isAllowed = () => mayUpload(room.state(), fileId, userId)
        if (isAllowed()) return true
        // Another process may have deleted it: read what this room has not seen.
        yield* submit(room, { _tag: "Look" })
        return isAllowed()
      }, Effect.scoped)

      const find = Effect.fnUntraced(function* (libraryId: LibraryId, fileId: FileId, reader?: string) {
        const room = yield* rooms.get(libraryKey(libraryId))
        const readable = () => {
          const file = room.state().files.get(fileId)
          return file !== undefined && (reader === undefined || mayRead(room.state(), file, reader)) ? file : undefined
        }
        // Another process may have recorded it, or a document that refers to it: read what this room has not seen.
        if (readable() === undefined) yield* submit(room, { _tag: "Look" })
        const found = readable()
        return found && recordOf(found)
      }, Effect.scoped)

      const blobs = Effect.fnUntraced(function* (libraryId: LibraryId) {
        const room = yield* rooms.get(libraryKey(libraryId))
        yield* submit(room, { _tag: "Look" })
        return new Set(Array.from(room.state().files.values(), ({ blob }) => BlobKey.make(blob)))
      }, Effect.scoped)

      return VerdantFiles.of({ mayRecord, roomFor, record, find, blobs })
    })
  )
}

const ORIGIN = "@files"

export const recordOf = ({ blob, fileId, hash, name, size, type, userId }: StoredFile): FileRecord => ({
  ...{ fileId, hash, name, size, type, userId },
  blob: BlobKey.make(blob)
})
