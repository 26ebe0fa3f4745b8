/**
 * Whether the file at a path is still the one that was opened. A process keeps a file that was removed or replaced: it would
 * acknowledge events that nobody finds once it ends.
 */
import { statSync } from "node:fs"
import { StorageUnavailable } from "@sealog/server/ports"
import { Effect } from "effect"

export interface DatabaseFile {
  /** Fails when the file was removed or replaced since it was opened. */
  readonly isInPlace: Effect.Effect<void, StorageUnavailable>
}

/** Call once the file is open. ":memory:" is always in its place. */
export const databaseFile = (filename: string): DatabaseFile => {
  if (filename === ":memory:") return { isInPlace: Effect.void }
  const opened = identityOf(filename)
  return {
    isInPlace: Effect.suspend(() =>
      identityOf(filename) === opened
        ? Effect.void
        : new StorageUnavailable({
            operation: `use ${filename}`,
            cause: new Error("the database file was removed or replaced while it was open")
          })
    )
  }
}

/** The file system's number of the file; undefined when there is none. */
const identityOf = (filename: string): string | undefined => {
  const stats = statSync(filename, { bigint: true, throwIfNoEntry: false })
  return stats && `${stats.dev} ${stats.ino}`
}
