/**
 * The event log, with all that is read from it compared with its hashes: each payload with the hash in its event, and each event
 * with the chain. Damaged data is not served: the read dies of `LogDamaged`, which is reported to `Damage`.
 */
import { Cause, Effect, Layer, Result } from "effect"
import { blake2b256InSteps } from "../domain/Blake2b.ts"
import type { Hash } from "../domain/Ids.ts"
import { allAtOnce, type Steps } from "../domain/Steps.ts"
import { chainOf, purgesBefore, type StreamEvent, type StreamKey } from "../domain/Stream.ts"
import { inTurns } from "../internal/inTurns.ts"
import { EventLog, LogDamaged, type PlacedEvent } from "../ports/EventLog.ts"
import { Damage } from "./Damage.ts"

export const layer: Layer.Layer<EventLog, never, EventLog | Damage> = Layer.effect(
  EventLog,
  Effect.gen(function* () {
    const log = yield* EventLog
    const { report } = yield* Damage

    /** Runs a call of the log, and reports the damage that it dies of. `key`: the stream that it reads. */
    const watched = <A, E>(call: () => Effect.Effect<A, E>, key?: StreamKey): Effect.Effect<A, E> =>
      Effect.catchCause(Effect.suspend(call), (cause) => {
        const found = damageIn(cause)
        if (found === undefined) return Effect.failCause(cause)
        const damage = key === undefined ? found : placedIn(key, found)
        report(damage)
        return Effect.die(damage)
      })

    return EventLog.of({
      append: (batch, options) =>
        watched(() => log.append(batch, options), batch.length === 1 ? batch[0].key : undefined),
      exclusively: log.exclusively,
      heads: (keys) => watched(() => log.heads(keys), keys.length === 1 ? keys[0] : undefined),
      read: (key, options) =>
        watched(
          // A payload that is left packed could not be compared.
          () => Effect.tap(log.read(key, { ...options, leavePacked: false }), (events) => requireIntact(key, events)),
          key
        ),
      tail: (key, options) =>
        watched(
          () =>
            Effect.tap(log.tail(key, options), ({ before, events }) =>
              Effect.map(requireIntact(key, events, before), () => {
                if (options?.payloads !== false) requirePayloads(key, events)
              })
            ),
          key
        ),
      readKeyed: (key, after) => watched(() => log.readKeyed(key, after), key),
      held: (key, before) => watched(() => log.held(key, before), key),
      streams: (options) => watched(() => log.streams(options)),
      countStreams: (libraryId) => watched(() => log.countStreams(libraryId)),
      use: (libraryId) => watched(() => log.use(libraryId)),
      libraries: (options) => watched(() => log.libraries(options))
    })
  })
)

/** The damage that a call died of; undefined if it failed for another reason. */
export const damageIn = (cause: Cause.Cause<unknown>): LogDamaged | undefined => {
  const defect = Result.getOrUndefined(Cause.findDefect(cause))
  return defect instanceof LogDamaged ? defect : undefined
}

const placedIn = ({ libraryId, streamId }: StreamKey, damage: LogDamaged): LogDamaged =>
  damage.streamId === undefined
    ? new LogDamaged({ libraryId, streamId, detail: damage.detail, cause: damage.cause })
    : damage

/**
 * Dies of `LogDamaged` at the first event that is not as it was written. Many bytes are compared in turns. `before`: the chain
 * value that the first event follows; undefined: it is not known, and the first event's own fields are not verified.
 */
const requireIntact = (key: StreamKey, events: ReadonlyArray<PlacedEvent>, before?: Hash | ""): Effect.Effect<void> =>
  Effect.suspend(() => {
    const bytes = events.reduce((sum, { payload }) => sum + EVENT_BYTES + (payload?.length ?? 0), 0)
    const steps = compare(key, events, before)
    return bytes > AT_ONCE ? inTurns(steps) : Effect.sync(() => allAtOnce(steps))
  })

/** Bytes that are compared at once: some two milliseconds. */
const AT_ONCE = 256 * 1024
/** The hash of an event without its payload takes as long as that of so many bytes, as measured. */
const EVENT_BYTES = 1024

const compare = function* (
  key: StreamKey,
  events: ReadonlyArray<PlacedEvent>,
  before: Hash | "" | undefined
): Steps<void> {
  let chain = before
  for (const { event, payload } of events) {
    if (chain !== undefined && !follows(key, chain, event)) throw damaged(key, event, CHAIN)
    chain = event.chain
    if (payload !== null && (yield* blake2b256InSteps(payload)) !== event.payloadHash)
      throw damaged(key, event, PAYLOAD)
    yield
  }
}

/** Throws `LogDamaged` if a payload of a tail is missing that no event of the tail has purged. */
const requirePayloads = (key: StreamKey, events: ReadonlyArray<PlacedEvent>): void => {
  let purged = 0
  for (let i = events.length - 1; i >= 0; i -= 1) {
    const { event, payload } = events[i]!
    purged = Math.max(purged, purgesBefore(event))
    if (payload === null && event.payloadHash !== "" && event.version >= purged) throw damaged(key, event, MISSING)
  }
}

const follows = (key: StreamKey, chain: Hash | "", event: StreamEvent): boolean =>
  // A changed event may hold values that have no canonical JSON.
  Result.getOrUndefined(Result.try(() => chainOf(key, chain, event))) === event.chain

const damaged = ({ libraryId, streamId }: StreamKey, { version }: StreamEvent, detail: string): LogDamaged =>
  new LogDamaged({ libraryId, streamId, version, detail })

/** The damage at the event after `head`, which the log goes on with; undefined if it is as it was written. */
export const gapBefore = (
  key: StreamKey,
  { chain, version }: { readonly version: number; readonly chain: Hash | "" },
  next: StreamEvent | undefined
): LogDamaged | undefined => {
  const { libraryId, streamId } = key
  if (next === undefined)
    return new LogDamaged({ libraryId, streamId, version: version + 1, detail: "the event is missing" })
  return follows(key, chain, next) ? undefined : damaged(key, next, CHAIN)
}

/** The head that the storage names is not the one that the last event gives. */
export const wrongHead = ({ libraryId, streamId }: StreamKey, version: number): LogDamaged =>
  new LogDamaged({ libraryId, streamId, version, detail: "the stream's head is not that of its last event" })

const CHAIN = "the event does not follow the one before it: one of them was changed, or events between them are missing"
const PAYLOAD = "the payload does not have the hash that its event names"
export const MISSING = "the payload is missing, though no eviction or pruning deleted it"
