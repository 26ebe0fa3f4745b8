/** Writes an event to a stream outside of a room, while others may write to the same stream. */
import { Clock, Effect } from "effect"
import { type NewEvent, place, type StreamHead, type StreamKey } from "../domain/Stream.ts"
import type { EventLog, StorageUnavailable } from "../ports/EventLog.ts"

export interface OneEvent {
  readonly event: NewEvent
  readonly origin: string
  /** Default: the event has no payload. */
  readonly payload?: Uint8Array | null
  /** Deletes the payloads of the stream's events below this version; "all": of every event before this one. */
  readonly purgeBefore?: number | "all"
}

/** Appends an event after `head`. Returns false when another writer was faster. */
export const appendAfter = Effect.fnUntraced(function* (
  log: EventLog["Service"],
  key: StreamKey,
  head: StreamHead,
  { event, origin, payload = null, purgeBefore }: OneEvent
) {
  const placed = place(key, head, event, origin, yield* Clock.currentTimeMillis)
  const [result] = yield* log.append([
    {
      key,
      expectedVersion: head.version,
      events: [{ event: placed, payload }],
      ...(purgeBefore === undefined ? {} : { purgeBefore: purgeBefore === "all" ? placed.version : purgeBefore })
    }
  ])
  return result?._tag === "Committed"
})

/**
 * Attempts to write until no other writer is faster, which an attempt reports by `undefined`. The first attempt blocks no
 * writer. A stream that is written all the time is held still for the next ones.
 */
export const attemptUntilFirst = Effect.fnUntraced(function* <A>(
  log: EventLog["Service"],
  key: StreamKey,
  attempt: Effect.Effect<A | undefined, StorageUnavailable>
) {
  let result = yield* attempt
  while (result === undefined) result = yield* log.exclusively(key, attempt)
  return result
})
