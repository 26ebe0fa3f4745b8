/**
 * Turns clients away whose token, user or library an operator revoked or suspended, on every process.
 *
 * A client that connects is checked against the log itself. A client that is connected is sent away as soon as a signal
 * says that an administrative stream has grown.
 */
import { Cause, Context, Effect, Layer, Schema, type Scope, Stream } from "effect"
import {
  type AdministrationState,
  evolve,
  fold,
  fromStreamEvent,
  isAdministration,
  isRevoked,
  libraryAdministration,
  serverAdministration
} from "../domain/Administration.ts"
import type { LibraryId } from "../domain/Ids.ts"
import { advance, type StreamHead, type StreamKey, streamName } from "../domain/Stream.ts"
import { onScopeClose } from "../internal/finalizers.ts"
import { makeKeyedResource } from "../internal/KeyedResource.ts"
import type { Grant } from "../ports/Access.ts"
import { EventLog, type StorageUnavailable } from "../ports/EventLog.ts"
import { Signals } from "../ports/Signals.ts"

/** The token is valid, but an operator revoked it, or suspended its library. */
export class GrantEnded extends Schema.TaggedError<GrantEnded>()("GrantEnded", {
  /** "revoked" is final; a suspended library may be resumed. */
  reason: Schema.Literals(["revoked", "suspended"])
}) {}

export class AdmissionControl extends Context.Service<
  AdmissionControl,
  {
    /**
     * Checks a grant against the log as it is now, and fails with `GrantEnded` if the grant does not hold. Until the scope
     * closes, `leave` is called when the grant ends; it may be called more than once.
     */
    readonly admit: (
      grant: Grant,
      leave: (reason: GrantEnded) => void
    ) => Effect.Effect<void, GrantEnded | StorageUnavailable, Scope.Scope>
  }
>()("@sealog/server/Administration") {
  static readonly layer = Layer.effect(
    AdmissionControl,
    Effect.gen(function* () {
      const log = yield* EventLog
      const signals = yield* Signals
      const open = new Map<string, Watched>()

      const openLibrary = Effect.fnUntraced(function* (libraryId: LibraryId) {
        const key =
          libraryId === serverAdministration.libraryId ? serverAdministration : libraryAdministration(libraryId)
        const { head, events } = yield* log.tail(key, { payloads: false })
        const state = fold(events.map(({ event }) => event))
        const watched: Watched = { key, head, state, guests: new Set() }
        return yield* Effect.acquireRelease(
          Effect.sync(() => {
            open.set(streamName(key), watched)
            return watched
          }),
          () => Effect.sync(() => void open.delete(streamName(key)))
        )
      })
      const watches = yield* makeKeyedResource({ open: openLibrary, idle: IDLE })

      const readOn = Effect.fnUntraced(function* (watched: Watched) {
        const events = yield* log.read(watched.key, { after: watched.head.version, payloads: false })
        for (const { event } of events) {
          // Two reads may run at a time and return the same events.
          if (event.version !== watched.head.version + 1) continue
          // The state first: an event that cannot be applied must not be skipped by the next read.
          watched.state = evolve(watched.state, fromStreamEvent(event))
          watched.head = advance(watched.head, event)
        }
        for (const { grant, leave } of watched.guests) {
          const reason = reasonToLeave(watched.state, grant)
          if (reason !== undefined) leave(new GrantEnded({ reason }))
        }
      })

      /** The streams that the log holds more of. */
      const grownOf = (all: ReadonlyArray<Watched>) =>
        Effect.map(log.heads(all.map(({ key }) => key)), (heads) =>
          all.filter(({ head }, i) => heads[i]!.version > head.version)
        )

      /** Reads on for connections that are admitted. A stream with a defect does not keep the others from being read. */
      const readOnSafely = (watched: Watched) =>
        Effect.catchDefect(readOn(watched), (defect) =>
          Effect.logError(`Reading ${streamName(watched.key)} failed`, Cause.die(defect))
        )

      yield* Effect.forkScoped(
        Stream.runForEach(signals.wakeups, (keys) => {
          const named =
            keys === "all"
              ? open.values()
              : keys.filter(isAdministration).flatMap((key) => open.get(streamName(key)) ?? [])
          const all = Array.from(named)
          if (all.length === 0) return Effect.void
          // The next signal reads again. New clients are safe until then: each admission reads the log itself.
          return grownOf(all).pipe(
            Effect.flatMap((grown) => Effect.forEach(grown, readOnSafely, { discard: true })),
            Effect.catch((error) => Effect.logWarning(error.message)),
            Effect.catchDefect((defect) => Effect.logError("Looking for revoked tokens failed", Cause.die(defect)))
          )
        })
      )

      const admit = Effect.fnUntraced(function* (grant: Grant, leave: Guest["leave"]) {
        const all = [yield* watches.get(serverAdministration.libraryId), yield* watches.get(grant.libraryId)]
        const guest: Guest = { grant, leave }
        yield* onScopeClose(() => all.forEach(({ guests }) => void guests.delete(guest)))
        for (const { guests } of all) guests.add(guest)
        for (const grown of yield* grownOf(all)) yield* readOn(grown)
        for (const { state } of all) {
          const reason = reasonToLeave(state, grant)
          if (reason !== undefined) return yield* new GrantEnded({ reason })
        }
      })

      return AdmissionControl.of({ admit })
    })
  )
}

/** How long the administrative state of a library is kept in memory after its last connection. */
const IDLE = "30 seconds"

/** An administrative stream, and the connections that depend on it. */
interface Watched {
  readonly key: StreamKey
  head: StreamHead
  state: AdministrationState
  readonly guests: Set<Guest>
}

interface Guest {
  readonly grant: Grant
  readonly leave: (reason: GrantEnded) => void
}

const reasonToLeave = (state: AdministrationState, grant: Grant): GrantEnded["reason"] | undefined => {
  if (isRevoked(state, grant)) return "revoked"
  return state.isSuspended ? "suspended" : undefined
}
