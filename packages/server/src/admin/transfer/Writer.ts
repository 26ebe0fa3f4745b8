/** Writes events that were placed in another log, in large batches, and purges the payloads that they purge. */
import { Effect, Schema } from "effect"
import type { NonEmptyArray } from "effect/Array"
import { purgesBefore, type StreamKey } from "../../domain/Stream.ts"
import type { EventLog, PlacedEvent, StorageUnavailable } from "../../ports/EventLog.ts"
import type { Signals } from "../../ports/Signals.ts"

/** The log to write to, and the signals that tell its servers. */
export interface Target {
  readonly log: EventLog["Service"]
  readonly signals: Signals["Service"]
}

/** The target holds a stream of the same name that differs. */
export class StreamDiverged extends Schema.TaggedError<StreamDiverged>()("StreamDiverged", {
  libraryId: Schema.String,
  streamId: Schema.String,
  /** The first version that differs, or that only the target has. */
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

/** A writer to which events are added in order; call `flush` at the end. `onWritten` is called after every batch. */
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
        result._tag === "Conflict"
          ? `another process wrote to the target, which ends at version ${result.actualVersion}`
          : "the target already holds a snapshot with this id"
      return yield* new StreamDiverged({ ...key, version: expectedVersion + 1, detail })
    }
    const written = events
    batch = []
    events = 0
    bytes = 0
    onWritten(written)
  })

  /** Adds a stream's next event. It is written once the batch is full or flushed. */
  const add = Effect.fnUntraced(function* (key: StreamKey, placed: PlacedEvent) {
    const { event, payload } = placed
    const last = batch.at(-1)
    const purged = purgesBefore(event)
    if (last?.key.streamId === key.streamId && last.key.libraryId === key.libraryId) {
      last.events.push(placed)
      if (purged > 0) {
        last.purgeBefore = Math.max(last.purgeBefore, purged)
        // The storage does not purge payloads of the same append, so they are left out of it.
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
