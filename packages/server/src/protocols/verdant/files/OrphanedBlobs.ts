/**
 * Deletes orphaned blobs, to which no file refers. An upload leaves one if it ends before the file is recorded. So does a
 * file that is replaced or deleted while the store is unavailable.
 */
import { Cause, Clock, Duration, Effect, Option, Schedule, Stream } from "effect"
import type { LibraryId } from "../../../domain/Ids.ts"
import { type BlobEntry, BlobStore } from "../../../ports/BlobStore.ts"
import { listLibraries } from "../../../ports/listLibraries.ts"
import { blobGroup } from "./BlobKeys.ts"
import { VerdantFiles } from "./FileCatalog.ts"

/** Younger blobs stay: their upload may still be under way, because bytes are stored before their file is recorded. */
const GRACE = Duration.days(1)

export interface Swept {
  readonly blobs: number
  readonly bytes: number
}

/**
 * Sweeps the whole store, and returns how much it deleted. `libraries` must be all libraries of the log: the blobs of any
 * other library are deleted as well.
 */
export const sweepOrphanedBlobs = Effect.fn("sweepOrphanedBlobs")(function* (libraries: Iterable<LibraryId>) {
  const store = yield* BlobStore
  const files = yield* VerdantFiles
  const libraryByGroup = new Map(Array.from(libraries, (libraryId) => [blobGroup(libraryId), libraryId] as const))
  const oldest = (yield* Clock.currentTimeMillis) - Duration.toMillis(GRACE)

  const sweepGroup = Effect.fnUntraced(function* ([group, entries]: readonly [string, ReadonlyArray<BlobEntry>]) {
    const libraryId = libraryByGroup.get(group)
    const old = entries.filter(({ modifiedAt }) => modifiedAt < oldest)
    if (old.length === 0) return []
    // Read after the listing, so it includes every file that was recorded since.
    const live = libraryId === undefined ? new Set() : yield* files.blobs(libraryId)
    const dead = old.filter(({ key }) => !live.has(key))
    yield* Effect.forEach(dead, ({ key }) => store.delete(key), { discard: true })
    return dead
  })
  /** A library with a defect keeps its blobs, and the others are swept. */
  const sweepGroupSafely = (group: readonly [string, ReadonlyArray<BlobEntry>]) =>
    Effect.catchDefect(sweepGroup(group), (defect) =>
      Effect.as(Effect.logError(`Sweeping the blobs of ${group[0]} failed`, Cause.die(defect)), [])
    )

  const groups = store.list.pipe(
    Stream.groupAdjacentBy(({ key }) => key.slice(0, key.indexOf("/"))),
    Stream.mapEffect(sweepGroupSafely)
  )
  return yield* Stream.runFold(
    groups,
    (): Swept => ({ blobs: 0, bytes: 0 }),
    ({ blobs, bytes }, dead) => ({
      blobs: blobs + dead.length,
      bytes: bytes + dead.reduce((sum, { size }) => sum + size, 0)
    })
  )
})

const INTERVAL = "1 day"

/** Sweeps the store once a day until the scope closes; does nothing without a `BlobStore`. */
export const sweepOrphanedBlobsDaily = Effect.gen(function* () {
  const blobs = yield* Effect.serviceOption(BlobStore)
  if (Option.isNone(blobs)) return
  const sweep = Effect.flatMap(listLibraries(), (all) =>
    sweepOrphanedBlobs(all.map(({ libraryId }) => libraryId))
  ).pipe(
    Effect.provideService(BlobStore, blobs.value),
    Effect.catch((error) => Effect.logWarning(error.message)),
    Effect.catchDefect((defect) => Effect.logError("Sweeping the blob store failed", Cause.die(defect)))
  )
  yield* Effect.forkScoped(Effect.repeat(Effect.andThen(Effect.sleep("1 minute"), sweep), Schedule.spaced(INTERVAL)))
})
