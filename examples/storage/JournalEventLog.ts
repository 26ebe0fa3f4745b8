// A storage in one file: every batch of appends is a line, which is on the disk before it counts. The log itself is in memory, and
// a process that starts reads the file again. It passes the suite that Sealog's own storages pass.
import { closeSync, fsyncSync, openSync, readFileSync, truncateSync, writeSync } from "node:fs"
import { MemoryEventLog } from "@sealog/server/adapters"
import { EventLog, StorageUnavailable } from "@sealog/server/ports"
import { Context, Effect, Layer, Semaphore } from "effect"

type Batch = Parameters<EventLog["Service"]["append"]>[0]

/** The batches that a fiber inside `exclusively` has appended, which are written when it ends. */
const Pending = Context.Reference<Array<Batch> | undefined>("JournalEventLog/Pending", {
  defaultValue: () => undefined
})

const make = Effect.fnUntraced(function* (filename: string) {
  const memory = yield* EventLog
  const writing = yield* Semaphore.make(1)
  const file = yield* Effect.acquireRelease(
    Effect.sync(() => openSync(filename, "a")),
    (opened) => Effect.sync(() => closeSync(opened))
  )
  // A line without its end was not acknowledged: the process ended while it wrote.
  const text = readFileSync(filename, "utf8")
  const whole = text.slice(0, text.lastIndexOf("\n") + 1)
  truncateSync(filename, Buffer.byteLength(whole))
  for (const line of whole.split("\n").slice(0, -1)) {
    for (const batch of decode(line)) yield* Effect.exit(memory.append(batch))
  }

  const write = (batches: ReadonlyArray<Batch>) =>
    Effect.try({
      try: () => {
        writeSync(file, `${encode(batches)}\n`)
        fsyncSync(file)
      },
      catch: (cause) => new StorageUnavailable({ operation: "write the journal", cause })
    })

  return EventLog.of({
    ...memory,
    // The same batches in the same order have the same outcomes, conflicts and defects too, so the file may hold all that were tried.
    append: Effect.fnUntraced(function* (batch) {
      const pending = yield* Pending
      pending?.push(batch)
      if (pending !== undefined) return yield* memory.append(batch)
      return yield* Effect.andThen(write([batch]), memory.append(batch)).pipe(
        Effect.uninterruptible,
        writing.withPermit
      )
    }),
    exclusively: (key, use) =>
      Effect.uninterruptibleMask((restore) => {
        const pending: Array<Batch> = []
        const used = restore(use).pipe(
          Effect.provideService(Pending, pending),
          Effect.tap(() => (pending.length === 0 ? Effect.void : write(pending)))
        )
        return writing.withPermit(memory.exclusively(key, used))
      })
  })
})

/** Opens the log in a file, and makes it if it is not there. */
export const layer = (filename: string): Layer.Layer<EventLog> =>
  Layer.effect(EventLog, make(filename)).pipe(Layer.provide(MemoryEventLog.layerMemory), Layer.orDie)

// Payloads are bytes, and JSON has none.
const encode = (batches: ReadonlyArray<Batch>): string =>
  JSON.stringify(batches, (_, value) =>
    value instanceof Uint8Array ? { base64: Buffer.from(value).toString("base64") } : value
  )

const decode = (line: string): ReadonlyArray<Batch> =>
  JSON.parse(line, (key, value) =>
    key === "payload" && value !== null ? new Uint8Array(Buffer.from(value.base64, "base64")) : value
  ) as ReadonlyArray<Batch>
