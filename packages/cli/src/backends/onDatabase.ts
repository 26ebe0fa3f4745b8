import type { EventLog, LibraryId, Signals } from "@sealog/server/ports"
import { andThen, type Effect, provide } from "effect/Effect"
import { requireLibrary } from "./knownLibrary.ts"
import { backendOf } from "./storage.ts"

/** Lets an Effect run on the log of an existing, migrated database. It fails first if the log holds nothing of `library`. */
export const onDatabase = async <A, E>(
  database: string,
  effect: Effect<A, E, EventLog | Signals>,
  library: LibraryId | undefined
) => {
  const { existing } = await backendOf(database)
  return provide(library === undefined ? effect : andThen(requireLibrary(library), effect), existing)
}
