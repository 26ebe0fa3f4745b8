/** The event log, with each failure counted. */
import { Cause, Effect, Layer } from "effect"
import * as Metrics from "../metrics/Metrics.ts"
import { EventLog } from "../ports/EventLog.ts"
import { damageIn } from "./VerifiedEventLog.ts"

const unavailable = Metrics.storageErrors.at({ kind: "unavailable" })
const damage = Metrics.storageErrors.at({ kind: "damage" })
const defect = Metrics.storageErrors.at({ kind: "defect" })

const counted = <A, E>(call: () => Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.tapCause(Effect.suspend(call), (cause) =>
    Effect.sync(() => {
      if (damageIn(cause) !== undefined) damage.add()
      else if (Cause.hasDies(cause)) defect.add()
      else if (!Cause.hasInterruptsOnly(cause)) unavailable.add()
    })
  )

/** Counts the failures of the log that is provided. */
export const layer: Layer.Layer<EventLog, never, EventLog> = Layer.effect(
  EventLog,
  Effect.map(EventLog, (log) =>
    EventLog.of({
      append: (batch, options) => counted(() => log.append(batch, options)),
      // The reads and appends inside are counted as themselves.
      exclusively: log.exclusively,
      heads: (keys) => counted(() => log.heads(keys)),
      read: (key, options) => counted(() => log.read(key, options)),
      tail: (key, options) => counted(() => log.tail(key, options)),
      readKeyed: (key, after) => counted(() => log.readKeyed(key, after)),
      held: (key, before) => counted(() => log.held(key, before)),
      streams: (options) => counted(() => log.streams(options)),
      countStreams: (libraryId) => counted(() => log.countStreams(libraryId)),
      use: (libraryId) => counted(() => log.use(libraryId)),
      libraries: (options) => counted(() => log.libraries(options))
    })
  )
)
