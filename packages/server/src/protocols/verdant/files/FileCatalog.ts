/** What is known of a library's files; their bytes are in the `BlobStore`, under keys that only this knows. */
import { Context, Effect, Layer } from "effect"
import type { FileId, Hash, LibraryId } from "../../../domain/Ids.ts"
import type { LibraryCommand, LibraryRefusal } from "../../../domain/verdant/Commands.ts"
import type { StoredFile } from "../../../domain/verdant/State.ts"
import { BlobKey } from "../../../ports/BlobStore.ts"
import { StorageUnavailable } from "../../../ports/EventLog.ts"
import type { Outcome } from "../../../rooms/RoomProtocol.ts"
import { type LibraryRoom, LibraryRooms, libraryKey } from "../Rooms.ts"

export interface FileRecord {
  readonly fileId: FileId
  /** What its user calls it: to be shown, never to be a path. */
  readonly name: string
  /** The media type that its uploader claims. */
  readonly type: string
  readonly size: number
  readonly hash: Hash
  /** Where its bytes are. */
  readonly blob: BlobKey
  /** Who uploaded it. */
  readonly userId: string
}

export class VerdantFiles extends Context.Service<
  VerdantFiles,
  {
    /** Makes a file of bytes that are stored already; returns what it was before, which nobody can find any more. */
    readonly record: (
      libraryId: LibraryId,
      file: FileRecord
    ) => Effect.Effect<FileRecord | undefined, StorageUnavailable>

    readonly find: (libraryId: LibraryId, fileId: FileId) => Effect.Effect<FileRecord | undefined, StorageUnavailable>

    /** The blobs of all files that the library has: every other of its blobs is nobody's. */
    readonly blobs: (libraryId: LibraryId) => Effect.Effect<ReadonlySet<BlobKey>, StorageUnavailable>
  }
>()("@sealog/server/protocols/verdant/VerdantFiles") {
  /** In the library's own stream. */
  static readonly layer = Layer.effect(
    VerdantFiles,
    Effect.gen(function* () {
      const rooms = yield* LibraryRooms
      const submit = (room: LibraryRoom, command: LibraryCommand) =>
        Effect.callback<Outcome<LibraryRefusal>>((resume) =>
          room.submit(command, ORIGIN, (outcome) => resume(Effect.succeed(outcome)))
        ).pipe(
          Effect.flatMap((outcome) =>
            outcome._tag === "Unavailable"
              ? Effect.fail(new StorageUnavailable({ operation: "write of files", cause: new Error("not available") }))
              : Effect.succeed(outcome)
          )
        )

      const record = Effect.fnUntraced(function* (libraryId: LibraryId, file: FileRecord) {
        const room = yield* rooms.get(libraryKey(libraryId))
        const before = room.state().files.get(file.fileId)
        yield* submit(room, { _tag: "StoreFile", file })
        return before && recordOf(before)
      }, Effect.scoped)

      const find = Effect.fnUntraced(function* (libraryId: LibraryId, fileId: FileId) {
        const room = yield* rooms.get(libraryKey(libraryId))
        // Uploaded by another process, perhaps.
        if (!room.state().files.has(fileId)) yield* submit(room, { _tag: "Look" })
        const found = room.state().files.get(fileId)
        return found && recordOf(found)
      }, Effect.scoped)

      const blobs = Effect.fnUntraced(function* (libraryId: LibraryId) {
        const room = yield* rooms.get(libraryKey(libraryId))
        yield* submit(room, { _tag: "Look" })
        return new Set(Array.from(room.state().files.values(), ({ blob }) => BlobKey.make(blob)))
      }, Effect.scoped)

      return VerdantFiles.of({ record, find, blobs })
    })
  )
}

const ORIGIN = "@files"

const recordOf = ({ blob, fileId, hash, name, size, type, userId }: StoredFile): FileRecord => ({
  ...{ fileId, hash, name, size, type, userId },
  blob: BlobKey.make(blob)
})
