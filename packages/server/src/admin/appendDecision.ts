/** Writes to the log for an administrative command: decides on the newest tail and appends, whatever servers write. */
import { Clock, Effect, Result } from "effect"
import { type NewEvent, place, type StreamKey } from "../domain/Stream.ts"
import { EventLog, type PlacedEvent } from "../ports/EventLog.ts"
import { Signals } from "../ports/Signals.ts"
import { foldTail } from "../rooms/foldTail.ts"

export interface Decision {
  readonly event: NewEvent
  /** Default: the event has no payload. */
  readonly payload?: Uint8Array | null
  /** Deletes the payloads of the stream's events below this version; "all": of every event before this one. */
  readonly purgeBefore?: number | "all"
}

/**
 * Appends the event that `decide` makes of the stream's tail and signals it to the servers. Returns the decision, or the
 * refusal. With `dryRun` it writes nothing.
 *
 * `origin`: the command's name in the event. `payloads`: whether the tail has its payloads. Default: false.
 */
export const appendDecided = Effect.fnUntraced(function* <Refusal>(
  key: StreamKey,
  options: { readonly origin: string; readonly dryRun?: boolean; readonly payloads?: boolean },
  decide: (tail: ReadonlyArray<PlacedEvent>) => Result.Result<Decision, Refusal>
) {
  const log = yield* EventLog
  const signals = yield* Signals
  /** undefined: another writer was faster. */
  const attempt = Effect.gen(function* () {
    const { head, events } =
      options.payloads === true ? yield* readTail(log, key) : yield* log.tail(key, { payloads: false })
    const decision = decide(events)
    if (Result.isFailure(decision) || options.dryRun === true) return decision
    const { event, payload = null, purgeBefore } = decision.success
    const placed = place(key, head, event, options.origin, yield* Clock.currentTimeMillis)
    const [result] = yield* log.append([
      {
        key,
        expectedVersion: head.version,
        events: [{ event: placed, payload }],
        ...(purgeBefore === undefined ? {} : { purgeBefore: purgeBefore === "all" ? placed.version : purgeBefore })
      }
    ])
    return result?._tag === "Committed" ? decision : undefined
  })
  // The first attempt blocks no writer. A stream that is written all the time is locked for the next ones.
  let decision = yield* attempt
  while (decision === undefined) decision = yield* log.exclusively(key, attempt)
  if (Result.isSuccess(decision) && options.dryRun !== true) yield* signals.announce([key])
  return decision
})

/** All events from which a stream is read, with their payloads. */
const readTail = (log: EventLog["Service"], key: StreamKey) =>
  Effect.map(
    foldTail(
      log,
      key,
      (): Array<PlacedEvent> => [],
      (events, placed) => {
        events.push(placed)
        return events
      }
    ),
    ({ head, value }) => ({ head, events: value })
  )
