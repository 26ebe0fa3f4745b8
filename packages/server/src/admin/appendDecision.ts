/** Writes to the log for an administrative command: decides on the newest tail and appends, whatever servers write. */
import { Effect, Result } from "effect"
import type { StreamKey } from "../domain/Stream.ts"
import { EventLog, type PlacedEvent } from "../ports/EventLog.ts"
import { Signals } from "../ports/Signals.ts"
import { foldTail } from "../rooms/foldTail.ts"
import { appendAfter, attemptUntilFirst, type OneEvent } from "../rooms/optimisticAppend.ts"

export type Decision = Omit<OneEvent, "origin">

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
    const isCommitted = yield* appendAfter(log, key, head, { ...decision.success, origin: options.origin })
    return isCommitted ? decision : undefined
  })
  const decision = yield* attemptUntilFirst(log, key, attempt)
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
