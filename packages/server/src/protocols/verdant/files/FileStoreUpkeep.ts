/** Keeps the store of files free of bytes that are nobody's: of uploads that were cut off, of libraries that were evicted. */
import { Effect, Option, Schedule } from "effect"
import { BlobStore } from "../../../ports/BlobStore.ts"
import { listLibraries } from "../../../ports/listLibraries.ts"
import { sweepFiles } from "./OrphanedBlobs.ts"

const INTERVAL = "1 day"

/** Sweeps now and then until the scope closes; does nothing without a store of files. */
export const keepFileStore = Effect.gen(function* () {
  const blobs = yield* Effect.serviceOption(BlobStore)
  if (Option.isNone(blobs)) return
  const sweep = Effect.flatMap(listLibraries(), (all) => sweepFiles(all.map(({ libraryId }) => libraryId))).pipe(
    Effect.provideService(BlobStore, blobs.value),
    Effect.catch((error) => Effect.logWarning(error.message))
  )
  yield* Effect.forkScoped(Effect.repeat(Effect.andThen(Effect.sleep("1 minute"), sweep), Schedule.spaced(INTERVAL)))
})
