/**
 * One server at a time on a SQLite file: a second one would not hear of the presence and the ephemeral messages of the first. The
 * lock is SQLite's own, on an empty file beside the database. The system releases it when the process ends, however it ends.
 */
import { DatabaseSync } from "node:sqlite"
import { StorageUnavailable } from "@sealog/server/ports"
import { Effect, Schedule } from "effect"

/** The pause between two looks of a command that waits for the end of a server. */
const LOOK = "50 millis"
/** How long a server waits for the one before it, which may still be answering its clients. */
const PATIENCE = { schedule: Schedule.spaced("100 millis"), times: 100 } as const

/** Holds the lock until the scope closes. Fails when another server still has it after ten seconds. */
export const lockForServer = (filename: string) => {
  if (filename === ":memory:") return Effect.void
  return Effect.acquireRelease(
    Effect.retry(
      Effect.suspend(() => take(filename)),
      PATIENCE
    ),
    (connection) => Effect.sync(() => connection.close())
  )
}

/** Waits until no server uses the file, and keeps servers from it until the scope closes. */
export const lockOutServers = (filename: string) =>
  Effect.acquireRelease(
    Effect.retry(
      Effect.suspend(() => take(filename)),
      Schedule.spaced(LOOK)
    ),
    (connection) => Effect.sync(() => connection.close()),
    { interruptible: true }
  )

const take = (filename: string): Effect.Effect<DatabaseSync, StorageUnavailable> => {
  const connection = new DatabaseSync(`${filename}-server`)
  try {
    connection.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
    return Effect.succeed(connection)
  } catch {
    connection.close()
    const cause = new Error("another server uses this file, and a SQLite database serves one at a time")
    return Effect.fail(new StorageUnavailable({ operation: `open ${filename}`, cause }))
  }
}
