/**
 * Files of a Verdant server, brought into the store and recorded as if they had been uploaded. Bytes first, as with an
 * upload: what is interrupted in between is nobody's, and is brought again.
 */
import { Effect, Option, Result, Schema, type Stream } from "effect"
import { FileId, type LibraryId } from "../../domain/Ids.ts"
import { toNewEvent, VERDANT } from "../../domain/verdant/Events.ts"
import { BlobStore } from "../../ports/BlobStore.ts"
import { newBlobKey } from "../../protocols/verdant/files/BlobKeys.ts"
import { filesOfGenerations } from "../../protocols/verdant/files/EvictedFiles.ts"
import { displayName, mediaType } from "../../protocols/verdant/files/FileHeaders.ts"
import { appendDecided } from "../appendDecision.ts"
import type { VerdantRow, VerdantUnreadable } from "./VerdantRows.ts"

/** What a Verdant server stored as a file of that id and name; undefined: nothing that can be read. */
export type VerdantBytes = (
  fileId: FileId,
  name: string
) => Effect.Effect<{ readonly size: number; readonly bytes: Stream.Stream<Uint8Array, VerdantUnreadable> } | undefined>

export interface BroughtFiles {
  /** Brought now: what the library has already is not brought again. */
  readonly files: number
  readonly fileBytes: number
  /** Known to the other server, but without bytes that could be read. */
  readonly filesLeftOut: number
}

export const noFiles: BroughtFiles = { files: 0, fileBytes: 0, filesLeftOut: 0 }

const ORIGIN = "sync-admin import verdant"
/** That server did not write down who uploaded a file. */
const USER = "@import"

/** One that fits nothing is left out like one without bytes: no client could ask for it. */
const FileRow = Schema.Struct({ fileId: FileId, name: Schema.String, type: Schema.String })
const decodeRow = Schema.decodeUnknownOption(FileRow)
type FileRow = typeof FileRow.Type

/** `bytesOf` undefined: nobody knows where the bytes are. */
export const bringFiles = Effect.fnUntraced(function* (
  libraryId: LibraryId,
  rows: ReadonlyArray<VerdantRow>,
  { bytesOf, dryRun }: { readonly bytesOf: VerdantBytes | undefined; readonly dryRun: boolean }
) {
  const known = new Set((yield* filesOfGenerations(libraryId)).live.map(({ fileId }) => fileId))
  let brought = noFiles
  for (const row of rows) {
    const file = Option.getOrUndefined(decodeRow(row))
    if (file !== undefined && known.has(file.fileId)) continue
    const found = file && bytesOf && (yield* bytesOf(file.fileId, file.name))
    const size = file && found && (dryRun ? found.size : yield* bring(libraryId, file, found.bytes))
    brought =
      size === undefined
        ? { ...brought, filesLeftOut: brought.filesLeftOut + 1 }
        : { ...brought, files: brought.files + 1, fileBytes: brought.fileBytes + size }
  }
  return brought
})

/** Its size; undefined when its bytes could not be read to their end, or there is no place for them. */
const bring = Effect.fnUntraced(
  function* (libraryId: LibraryId, file: FileRow, bytes: Stream.Stream<Uint8Array, VerdantUnreadable>) {
    const store = Option.getOrUndefined(yield* Effect.serviceOption(BlobStore))
    if (store === undefined) return undefined
    const { fileId } = file
    const blob = newBlobKey(libraryId, fileId)
    // They were not too large for that server.
    const stored = yield* store.put(blob, bytes, Number.MAX_SAFE_INTEGER)
    const [name, type] = [displayName(file.name), mediaType(file.type)]
    const event = toNewEvent({ _tag: "FileStored", fileId, name, type, userId: USER, blob, ...stored }, "")
    const decided = yield* appendDecided({ libraryId, streamId: VERDANT }, { origin: ORIGIN }, (tail) =>
      tail.some(({ event }) => event.type === "FileStored" && "fileId" in event.data && event.data.fileId === fileId)
        ? Result.fail("uploaded meanwhile")
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
