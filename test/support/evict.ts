/** An eviction by somebody else than the server: with connections of its own to the same database, as the CLI has. */
import { evict as evictLibrary } from "@sealog/server/admin/Eviction"
import { LibraryId } from "@sealog/server/domain/Ids"
import { Effect } from "effect"
import { layerOf } from "./postgres.ts"

export const evict = (database: string, libraryId: string) =>
  evictLibrary({ libraryId: LibraryId.make(libraryId) }).pipe(Effect.provide(layerOf(database)), Effect.orDie)
