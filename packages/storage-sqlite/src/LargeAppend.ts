/**
 * Appends large batches on a thread with a connection of its own: SQLite copies, checksums and flushes them, and moves them from
 * the log of changes into the file, during which the event loop would stand still (docs/decisions/0077-sqlite-on-a-thread.md).
 */
import { Worker } from "node:worker_threads"
import { makeJobThreads } from "@sealog/server/storage"
import { Duration, Effect } from "effect"
import type { SqliteClient } from "#driver"
import type { PackedAppend } from "./AppendStatements.ts"
import type { AppendJob, AppendResult } from "./appendLarge.ts"

/** Starts the thread from the sources or from the build, whichever this file is in. */
const spawn = (): Worker =>
  import.meta.url.endsWith(".ts")
    ? new Worker(new URL("./appendThread.ts", import.meta.url), { execArgv: ["--conditions=@sealog/source"] })
    : new Worker(new URL("./appendThread.js", import.meta.url))

/** undefined: the database is in memory, where no other connection finds it. */
export const makeLargeAppend = Effect.fnUntraced(function* (sql: SqliteClient) {
  const { busyTimeout = 0, filename } = sql.config
  if (filename === ":memory:") return undefined
  const threads = yield* makeJobThreads<AppendJob, AppendResult>(1, spawn)
  return (batch: ReadonlyArray<PackedAppend>) => {
    const copied = batch.map(withOwnPayloads)
    const buffers = copied.flatMap(({ events }) => events.flatMap(({ payload }) => payload?.packed.buffer ?? []))
    const job = { filename, busyMillis: Duration.toMillis(busyTimeout), batch: copied }
    return sql.reserve.pipe(
      // This process writes nothing in between: its own connection would wait for the thread, and the event loop with it.
      Effect.andThen(threads.run(job, buffers)),
      Effect.flatMap((result) =>
        result._tag === "Appended"
          ? Effect.succeed(result.results)
          : sql.withDatabase(() => {
              const { message, ...code } = result.failure
              throw Object.assign(new Error(message), code)
            })
      ),
      Effect.scoped,
      Effect.uninterruptible
    )
  }
})

/** Copies the payloads, because an append that meets a conflict is made again of the same ones. */
const withOwnPayloads = ({ events, ...append }: PackedAppend) => ({
  ...append,
  events: events.map(({ event, payload }) => ({
    event,
    payload: payload && { length: payload.length, packed: new Uint8Array(payload.packed) }
  }))
})
