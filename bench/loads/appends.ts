/** Appends to a log without a server, as a server's committer does: one batch after another, each with one append per stream. */
import { randomBytes } from "node:crypto"
import { PgStorage } from "@sealog/storage-pg"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Effect } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { blake2b256 } from "#server/domain/Blake2b"
import { LibraryId } from "#server/domain/Ids"
import { advance, emptyHead, type NewEvent, place, type StreamHead } from "#server/domain/Stream"
import { type Append, EventLog, type PlacedEvent } from "#server/ports/EventLog"

export interface Appends {
  /** The URL of a migrated database. */
  readonly database: string
  readonly libraries: number
  /** Updates of each library in one batch, all to one stream. */
  readonly updates: number
  readonly seconds: number
}

export interface AppendsDone {
  readonly updates: number
  readonly seconds: number
  readonly cpuSeconds: number
}

/** The size of an update that clients send, with its signature. */
const payload = randomBytes(300)
const update: NewEvent = {
  type: "UpdateStored",
  data: { refSnapshotId: "s".repeat(22), pubKey: "k".repeat(43), clock: 1 },
  payloadHash: blake2b256(payload),
  checkpoint: false
}

export const prepare = async (load: Appends): Promise<() => Promise<AppendsDone>> => {
  const { database, libraries, seconds, updates } = load
  const layer = database.startsWith("sqlite:")
    ? SqliteStorage.layer({ filename: database.slice("sqlite:".length) })
    : PgStorage.layerWithoutMigrations({ url: database })
  const streamId = crypto.randomUUID()
  const keys = Array.from({ length: libraries }, (_, i) => ({ libraryId: LibraryId.make(`library-${i}`), streamId }))
  let heads: ReadonlyArray<StreamHead> = keys.map(() => emptyHead)
  const nextBatch = () => {
    const after: Array<StreamHead> = []
    const batch = keys.map((key, i): Append => {
      let head = heads[i]!
      const events = Array.from({ length: updates }, (): PlacedEvent => {
        const event = place(key, head, update, "bench", Date.now())
        head = advance(head, event)
        return { event, payload }
      })
      after.push(head)
      return {
        key,
        expectedVersion: heads[i]!.version,
        events: events as unknown as NonEmptyReadonlyArray<PlacedEvent>
      }
    })
    heads = after
    return batch as unknown as NonEmptyReadonlyArray<Append>
  }
  return () =>
    Effect.gen(function* () {
      const log = yield* EventLog
      const append = Effect.gen(function* () {
        const results = yield* log.append(nextBatch())
        if (results.some(({ _tag }) => _tag !== "Committed")) throw new Error("an append was not committed")
      })
      // The streams are created, and connections opened, before the measured part.
      for (let i = 0; i < 10; i++) yield* append
      const [began, cpu] = [performance.now(), process.cpuUsage()]
      let batches = 0
      for (; performance.now() - began < seconds * 1000; batches++) yield* append
      const { system, user } = process.cpuUsage(cpu)
      return {
        updates: batches * libraries * updates,
        seconds: (performance.now() - began) / 1000,
        cpuSeconds: (user + system) / 1e6
      }
    }).pipe(Effect.provide(layer), Effect.runPromise)
}
