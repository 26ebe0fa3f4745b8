/** How a command writes to the log: decide on what is there and append, whatever others write meanwhile. */
import { Clock, Effect, Result } from "effect"
import { type NewEvent, place, type StreamKey } from "../domain/Stream.ts"
import { EventLog, type PlacedEvent } from "../ports/EventLog.ts"
import { Signals } from "../ports/Signals.ts"

export interface Decision {
  readonly event: NewEvent
  /** Default: the event has none. */
  readonly payload?: Uint8Array | null
  /** Delete the payloads of the stream's events with a smaller version than this; "all": of all before the event. */
  readonly purgeBefore?: number | "all"
}

/**
 * Appends what `decide` makes of the stream's tail, and tells the servers on the log; the refusal when it refuses. With
 * `dryRun` nothing is written.
 *
 * `origin`: the command, as the event names it. `payloads`: whether `decide` looks at them. Default: it does not.
 */
export const appendDecided = Effect.fnUntraced(function* <Refusal>(
  key: StreamKey,
  options: { readonly origin: string; readonly dryRun?: boolean; readonly payloads?: boolean },
  decide: (tail: ReadonlyArray<PlacedEvent>) => Result.Result<Decision, Refusal>
) {
  const log = yield* EventLog
  const signals = yield* Signals
  /** undefined: somebody else was faster. */
  const attempt = Effect.gen(function* () {
    const { head, events } = yield* log.tail(key, { payloads: options.payloads === true })
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
  // Without holding anybody up at first; a stream that is written all the time is held still.
  let decision = yield* attempt
  while (decision === undefined) decision = yield* log.exclusively(key, attempt)
  if (Result.isSuccess(decision) && options.dryRun !== true) yield* signals.announce([key])
  return decision
})
