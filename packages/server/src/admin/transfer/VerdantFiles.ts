/**
 * Copies the files of a Verdant server into the `BlobStore`, and records them as if they had been uploaded. Bytes are stored
 * before the file is recorded, as in an upload. If a copy is interrupted in between, another one copies the file again.
 */
import { Effect, Option, Result, Schema, type Stream } from "effect"
import { FileId, type LibraryId } from "../../domain/Ids.ts"
import { toNewEvent, VERDANT } from "../../domain/verdant/Events.ts"
import { IMPORTER } from "../../domain/verdant/Files.ts"
import { BlobStore } from "../../ports/BlobStore.ts"
import { newBlobKey } from "../../protocols/verdant/files/BlobKeys.ts"
import { filesOfGenerations } from "../../protocols/verdant/files/EvictedFiles.ts"
import { displayName, mediaType } from "../../protocols/verdant/files/FileHeaders.ts"
import { appendDecided } from "../appendDecision.ts"
import type { VerdantRow, VerdantUnreadable } from "./VerdantRows.ts"

/** Finds the bytes that a Verdant server stored for a file; undefined when it has none that can be read. */
export type VerdantBytes = (
  fileId: FileId,
  name: string
) => Effect.Effect<{ readonly size: number; readonly bytes: Stream.Stream<Uint8Array, VerdantUnreadable> } | undefined>

export interface CopiedFiles {
  /** Files that were copied now. Files that the library already has are not counted. */
  readonly files: number
  readonly fileBytes: number
  /** Files that the other server knows, but whose bytes could not be read. */
  readonly filesLeftOut: number
}

export const noFiles: CopiedFiles = { files: 0, fileBytes: 0, filesLeftOut: 0 }

const ORIGIN = "sync-admin import verdant"

/** A row that does not fit is left out, as if it had no bytes: no client could ask for its file. */
const FileRow = Schema.Struct({ fileId: FileId, name: Schema.String, type: Schema.String })
const decodeRow = Schema.decodeUnknownOption(FileRow)
type FileRow = typeof FileRow.Type

/** Copies the files that the library lacks. Without `bytesOf`, every file is left out. */
export const copyFiles = Effect.fnUntraced(function* (
  libraryId: LibraryId,
  rows: ReadonlyArray<VerdantRow>,
  { bytesOf, dryRun }: { readonly bytesOf: VerdantBytes | undefined; readonly dryRun: boolean }
) {
  const known = new Set((yield* filesOfGenerations(libraryId)).live.map(({ fileId }) => fileId))
  let copied = noFiles
  for (const row of rows) {
    const file = Option.getOrUndefined(decodeRow(row))
    if (file !== undefined && known.has(file.fileId)) continue
    const found = file && bytesOf && (yield* bytesOf(file.fileId, file.name))
    const size = file && found && (dryRun ? found.size : yield* copyFile(libraryId, file, found.bytes))
    copied =
      size === undefined
        ? { ...copied, filesLeftOut: copied.filesLeftOut + 1 }
        : { ...copied, files: copied.files + 1, fileBytes: copied.fileBytes + size }
  }
  return copied
})

/** Copies one file and returns its size; undefined when its bytes cannot be read to the end, or there is no `BlobStore`. */
const copyFile = Effect.fnUntraced(
  function* (libraryId: LibraryId, file: FileRow, bytes: Stream.Stream<Uint8Array, VerdantUnreadable>) {
    const store = Option.getOrUndefined(yield* Effect.serviceOption(BlobStore))
    if (store === undefined) return undefined
    const { fileId } = file
    const blob = newBlobKey(libraryId, fileId)
    // No limit: the file was not too large for the other server.
    const stored = yield* store.put(blob, bytes, Number.MAX_SAFE_INTEGER)
    const [name, type] = [displayName(file.name), mediaType(file.type)]
    const event = toNewEvent({ _tag: "FileStored", fileId, name, type, userId: IMPORTER, blob, ...stored }, "")
    const decided = yield* appendDecided({ libraryId, streamId: VERDANT }, { origin: ORIGIN }, (tail) =>
      tail.some(({ event }) => event.type === "FileStored" && "fileId" in event.data && event.data.fileId === fileId)
        ? Result.fail("uploaded by a client")
        : Result.succeed({ event })
    )
    if (Result.isFailure(decided)) yield* store.delete(blob)
    return stored.size
  },
  Effect.catchTags({
    VerdantUnreadable: () => Effect.succeed(undefined),
    BlobTooLarge: () => Effect.succeed(undefined)
  })
)
