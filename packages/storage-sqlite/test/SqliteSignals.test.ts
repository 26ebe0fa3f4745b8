import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { place, type StreamKey } from "@sealog/server/domain/Stream"
import { EventLog } from "@sealog/server/ports/EventLog"
import { Signals } from "@sealog/server/ports/Signals"
import { signalsSuite } from "@sealog/server/testing"
import { Array, Context, Effect, Layer } from "effect"
import { SqliteStorage } from "../src/index.ts"

/** Appends an event to each stream, as another process would. */
const write = (log: EventLog["Service"], keys: ReadonlyArray<StreamKey>) =>
  Effect.gen(function* () {
    const heads = yield* log.heads(keys)
    const appends = keys.map((key, i) => {
      const payload = new TextEncoder().encode("sealed")
      const update = { type: "UpdateStored", data: {}, payloadHash: blake2b256(payload), checkpoint: false }
      const head = heads[i]!
      return {
        key,
        expectedVersion: head.version,
        events: Array.of({ event: place(key, head, update, "test", 0), payload })
      }
    })
    if (Array.isArrayNonEmpty(appends)) yield* log.append(appends)
  }).pipe(Effect.orDie)

const open = (filename: string) =>
  Effect.map(Layer.build(Layer.fresh(SqliteStorage.layer({ filename, busyTimeout: "1 minute" }))), (services) => ({
    signals: Context.get(services, Signals),
    write: (keys: ReadonlyArray<StreamKey>) => write(Context.get(services, EventLog), keys)
  })).pipe(Effect.orDie)

signalsSuite(
  "SQLite",
  Effect.sync(() => ({
    open: open(join(mkdtempSync(join(tmpdir(), "sealog-signals-")), "log.db")),
    interrupt: Effect.void
  })),
  // A probe may be in the same wake-up, which names at most 1,000 streams.
  { isTransport: false, maxNamed: 900 }
)
