/** An eviction by somebody else than the server: a connection of its own to the same file, as the CLI has. */
import { evict as evictLibrary } from "@sealog/server/admin/Eviction"
import { LibraryId } from "@sealog/server/domain/Ids"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Effect } from "effect"

export const evict = (filename: string, libraryId: string) =>
  evictLibrary({ libraryId: LibraryId.make(libraryId) }).pipe(
    Effect.provide(SqliteStorage.layerWithoutMigrations({ filename })),
    Effect.orDie
  )
