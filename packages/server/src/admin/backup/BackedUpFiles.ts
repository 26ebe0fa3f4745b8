/**
 * The uploaded files that a backed up log names. Their bytes are copied before the events that name them are written. Each upload
 * has a key of its own and is never changed, so bytes that the backup has are the right ones for as long as an event names them.
 */
import { Effect, Stream } from "effect"
import type { LibraryId } from "../../domain/Ids.ts"
import type { StreamKey } from "../../domain/Stream.ts"
import { isVerdant } from "../../domain/verdant/Events.ts"
import { type BlobKey, type BlobStore, measure } from "../../ports/BlobStore.ts"
import type { PlacedEvent } from "../../ports/EventLog.ts"
import { type BlobOfFile, makeFilesFold } from "../../protocols/verdant/files/EvictedFiles.ts"
import type { ListedFile } from "./Format.ts"

/** Files that are copied at the same time. */
const AT_A_TIME = 4

/** Copies a file and verifies it. Returns the problem; undefined if there is none. */
export const copyFile = Effect.fnUntraced(function* (
  from: BlobStore["Service"],
  to: BlobStore["Service"],
  { blob, hash, size }: Pick<BlobOfFile, "blob" | "hash" | "size">
) {
  const found = yield* from.get(blob)
  if (found === undefined) return "missing" as const
  // No limit: an upload of this size was allowed.
  const stored = yield* Effect.catchTag(to.put(blob, found.bytes, Number.MAX_SAFE_INTEGER), "BlobTooLarge", Effect.die)
  if (stored.hash === hash && stored.size === size) return undefined
  yield* to.delete(blob)
  return "changed" as const
}, Effect.scoped)

/** Reads a file and compares it with its hash. Returns the problem; undefined if there is none. */
export const checkFile = Effect.fnUntraced(function* (
  store: BlobStore["Service"],
  { blob, hash, size }: Pick<BlobOfFile, "blob" | "hash" | "size">
) {
  const found = yield* store.get(blob)
  if (found === undefined) return "missing" as const
  const { bytes, stored } = measure(found.bytes, Number.MAX_SAFE_INTEGER)
  yield* Effect.catchTag(Stream.runDrain(bytes), "BlobTooLarge", Effect.die)
  return stored().hash === hash && stored().size === size ? undefined : ("changed" as const)
}, Effect.scoped)

/** `from`: the servers' store; undefined: files are listed, and not copied. `before`: the list of the backup before. */
export const makeBackedUpFiles = (
  { from, to }: { readonly from: BlobStore["Service"] | undefined; readonly to: BlobStore["Service"] },
  before: ReadonlyArray<ListedFile>
) => {
  const held = new Set(before.filter((file) => file.held).map(({ blob }) => blob))
  const folds = new Map(
    Array.from(
      Map.groupBy(before, ({ libraryId }) => libraryId),
      ([libraryId, files]) => [libraryId, makeFilesFold(libraryId, files)] as const
    )
  )
  const changed = new Set<BlobKey>()
  let [files, bytes] = [0, 0]

  const copyInto = Effect.fnUntraced(function* (wanted: ReadonlyArray<BlobOfFile>) {
    if (from === undefined) return
    const lacking = wanted.filter(({ blob }) => !held.has(blob))
    yield* Effect.forEach(
      lacking,
      Effect.fnUntraced(function* (file) {
        const problem = yield* copyFile(from, to, file)
        if (problem === "changed") changed.add(file.blob)
        if (problem !== undefined) return
        held.add(file.blob)
        files += 1
        bytes += file.size
      }),
      { concurrency: AT_A_TIME, discard: true }
    )
  })

  /** Takes the events of a page, and copies the files that they name. A file that was replaced since is not there any more. */
  const take = (key: StreamKey, page: ReadonlyArray<PlacedEvent>) => {
    if (!isVerdant(key)) return Effect.void
    const fold = folds.get(key.libraryId) ?? makeFilesFold(key.libraryId)
    folds.set(key.libraryId, fold)
    return copyInto(page.flatMap(({ event }) => fold.take(event) ?? []))
  }

  const list = (): ReadonlyArray<ListedFile> =>
    Array.from(folds).flatMap(([libraryId, fold]) =>
      fold.files().live.map(({ fileId, blob, size, hash }) => ({
        ...{ libraryId, fileId, blob, size, hash, held: held.has(blob) }
      }))
    )

  /** Tries again to copy the files that the backup lacks. Returns the libraries that still lack some. */
  const copyMissing = Effect.gen(function* () {
    if (from === undefined) return []
    yield* copyInto(list())
    return [...new Set(list().flatMap((file): ReadonlyArray<LibraryId> => (file.held ? [] : [file.libraryId])))]
  })

  return { take, list, copyMissing, copied: () => ({ files, bytes }), isChanged: (blob: BlobKey) => changed.has(blob) }
}
