/** Writes events as they were placed elsewhere, with what they purge, in large batches. */
import { Effect, Schema } from "effect"
import type { NonEmptyArray } from "effect/Array"
import { purgesBefore, type StreamKey } from "../../domain/Stream.ts"
import type { EventLog, PlacedEvent, StorageUnavailable } from "../../ports/EventLog.ts"
import type { Signals } from "../../ports/Signals.ts"

/** A log to write to, and whoever serves it. */
export interface Target {
  readonly log: EventLog["Service"]
  readonly signals: Signals["Service"]
}

/** A stream is there already, and is another. */
export class StreamDiverged extends Schema.TaggedError<StreamDiverged>()("StreamDiverged", {
  libraryId: Schema.String,
  streamId: Schema.String,
  /** The first version that is another, or is too much. */
  version: Schema.Finite,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.libraryId}/${this.streamId} version ${this.version}: ${this.detail}`
  }
}

const BATCH_EVENTS = 2000
const BATCH_BYTES = 16 * 1024 * 1024

interface Batched {
  readonly key: StreamKey
  readonly expectedVersion: number
  events: NonEmptyArray<PlacedEvent>
  purgeBefore: number
}

/** `onWritten`: after every batch, with what was in it. */
export const makeWriter = (target: Target, onWritten: (events: number) => void) => {
  let batch: Array<Batched> = []
  let [events, bytes] = [0, 0]

  const flush: Effect.Effect<void, StreamDiverged | StorageUnavailable> = Effect.gen(function* () {
    const [first, ...rest] = batch.map(({ purgeBefore, ...append }) => ({
      ...append,
      ...(purgeBefore > 0 && { purgeBefore })
    }))
    if (first === undefined) return
    const results = yield* target.log.append([first, ...rest])
    yield* target.signals.announce(batch.map(({ key }) => key))
    for (const [i, result] of results.entries()) {
      if (result._tag === "Committed") continue
      const { expectedVersion, key } = batch[i]!
      const detail =
        result._tag === "UniqueKeyTaken"
          ? "the target holds a snapshot of the same id"
          : `somebody else wrote to the target, which ends at version ${result.actualVersion}`
      return yield* new StreamDiverged({ ...key, version: expectedVersion + 1, detail })
    }
    const written = events
    batch = []
    events = 0
    bytes = 0
    onWritten(written)
  })

  /** Takes a stream's next event; written once a batch is full, or is flushed. */
  const add = Effect.fnUntraced(function* (key: StreamKey, placed: PlacedEvent) {
    const { event, payload } = placed
    const last = batch.at(-1)
    const purged = purgesBefore(event)
    if (last?.key.streamId === key.streamId && last.key.libraryId === key.libraryId) {
      last.events.push(placed)
      if (purged > 0) {
        last.purgeBefore = Math.max(last.purgeBefore, purged)
        // What is written together is not purged by it: these were read before the payloads went.
        last.events = last.events.map((each) =>
          each.event.version < purged ? { ...each, payload: null } : each
        ) as never
      }
    } else {
      batch.push({ key, expectedVersion: event.version - 1, events: [placed], purgeBefore: purged })
    }
    events += 1
    bytes += payload?.length ?? 0
    if (events >= BATCH_EVENTS || bytes >= BATCH_BYTES) yield* flush
  })

  return { add, flush }
}
