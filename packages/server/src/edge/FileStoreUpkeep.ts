/** Keeps the store of files free of bytes that are nobody's: of uploads that were cut off, of libraries that were evicted. */
import { Effect, Option, Schedule } from "effect"
import { BlobStore } from "../BlobStore.ts"
import type { LibraryId } from "../domain/Ids.ts"
import { EventLog } from "../EventLog.ts"
import { sweepFiles } from "../protocols/verdant/FileSweep.ts"

const INTERVAL = "1 day"
const PAGE = 500

/** Sweeps now and then until the scope closes; does nothing without a store of files. */
export const keepFileStore = Effect.gen(function* () {
  const blobs = yield* Effect.serviceOption(BlobStore)
  if (Option.isNone(blobs)) return
  const sweep = Effect.flatMap(allLibraries, sweepFiles).pipe(
    Effect.provideService(BlobStore, blobs.value),
    Effect.catch((error) => Effect.logWarning(error.message))
  )
  yield* Effect.forkScoped(Effect.repeat(Effect.andThen(Effect.sleep("1 minute"), sweep), Schedule.spaced(INTERVAL)))
})

const allLibraries = Effect.gen(function* () {
  const log = yield* EventLog
  const libraries: Array<LibraryId> = []
  while (true) {
    const after = libraries.at(-1)
    const page = yield* log.libraries({ limit: PAGE, ...(after && { after }) })
    libraries.push(...page.map(({ libraryId }) => libraryId))
    if (page.length < PAGE) return libraries
  }
})
