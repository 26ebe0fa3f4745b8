/** The administrative streams of open libraries and of the server, read on as soon as a signal says that they have grown. */
import { Cause, Context, Effect, Layer, type Scope, Stream } from "effect"
import {
  type AdministrationState,
  evolve,
  fold,
  fromStreamEvent,
  isAdministration,
  libraryAdministration,
  serverAdministration
} from "../domain/Administration.ts"
import type { LibraryId } from "../domain/Ids.ts"
import { advance, emptyHead, type StreamEvent, type StreamHead, type StreamKey, streamName } from "../domain/Stream.ts"
import { makeKeyedResource } from "../internal/KeyedResource.ts"
import { EventLog, type StorageUnavailable } from "../ports/EventLog.ts"
import { Signals } from "../ports/Signals.ts"
import { isBehind } from "./isBehind.ts"
import { makeSharedHeads } from "./SharedHeads.ts"

/** An administrative stream, as far as this process has read it. */
export interface Administration {
  readonly state: () => AdministrationState
  /** Called after each read that found something new. */
  readonly listeners: Set<AdministrationListener>
}

/** `events`: the new ones, which `state` contains. */
export type AdministrationListener = (state: AdministrationState, events: ReadonlyArray<StreamEvent>) => void

export class Administrations extends Context.Service<
  Administrations,
  {
    /** The administration of a library, or of the server, which signals keep up to date until the scope closes. */
    readonly get: (libraryId: LibraryId) => Effect.Effect<Administration, StorageUnavailable, Scope.Scope>
    /** Makes them as new as the log. */
    readonly refresh: (all: ReadonlyArray<Administration>) => Effect.Effect<void, StorageUnavailable>
  }
>()("@sealog/server/Administrations") {
  static readonly layer = Layer.effect(
    Administrations,
    Effect.gen(function* () {
      const log = yield* EventLog
      const signals = yield* Signals
      const readHeads = yield* makeSharedHeads(log)
      const open = new Map<string, OpenStream>()

      const openStream = Effect.fnUntraced(function* (libraryId: LibraryId) {
        const key =
          libraryId === serverAdministration.libraryId ? serverAdministration : libraryAdministration(libraryId)
        // Most libraries have no such stream, and one query says so for all libraries that are opened at a time.
        const [{ version }] = (yield* readHeads([key])) as [StreamHead]
        // A read fails if damage hides the stream. Without the server's own one, every revoked token would be good again.
        if (version === 0 && key === serverAdministration) yield* log.read(key, { after: 0, limit: 1, payloads: false })
        const { head, events } = version === 0 ? noEvents : yield* log.tail(key, { payloads: false })
        const stream = new OpenStream(key, head, fold(events.map(({ event }) => event)))
        return yield* Effect.acquireRelease(
          Effect.sync(() => {
            open.set(streamName(key), stream)
            return stream
          }),
          () => Effect.sync(() => void open.delete(streamName(key)))
        )
      })
      const streams = yield* makeKeyedResource({ open: openStream, idle: IDLE })

      const readOn = Effect.fnUntraced(function* (stream: OpenStream) {
        if (stream.hasGoneBack) {
          const { head, events } = yield* log.tail(stream.key, { payloads: false })
          stream.current = fold(events.map(({ event }) => event))
          stream.head = head
          stream.hasGoneBack = false
          for (const listener of stream.listeners) listener(stream.current, [])
          return
        }
        const events = yield* log.read(stream.key, { after: stream.head.version, payloads: false })
        const taken: Array<StreamEvent> = []
        for (const { event } of events) {
          // Two reads may run at a time and return the same events.
          if (event.version !== stream.head.version + 1) continue
          // The state first: an event that cannot be applied must not be skipped by the next read.
          stream.current = evolve(stream.current, fromStreamEvent(event))
          stream.head = advance(stream.head, event)
          taken.push(event)
        }
        for (const listener of stream.listeners) listener(stream.current, taken)
      })

      /** The streams that the log holds more of, or less, because it was restored from a backup. */
      const grownOf = Effect.fnUntraced(function* (all: ReadonlyArray<OpenStream>) {
        // Before the query: another read may take events while it is under way.
        const known = all.map(({ head }) => head)
        const heads = yield* readHeads(all.map(({ key }) => key))
        return all.filter((stream, i) => {
          if (isBehind(heads[i]!, known[i]!)) stream.hasGoneBack = true
          return stream.hasGoneBack || heads[i]!.version > stream.head.version
        })
      })

      /** A stream with a defect does not keep the others from being read. */
      const readOnSafely = (stream: OpenStream) =>
        Effect.catchDefect(readOn(stream), (defect) =>
          Effect.logError(`Reading ${streamName(stream.key)} failed`, Cause.die(defect))
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
            Effect.catchDefect((defect) => Effect.logError("Reading administrative streams failed", Cause.die(defect)))
          )
        })
      )

      return Administrations.of({
        get: streams.get,
        refresh: Effect.fnUntraced(function* (all) {
          for (const grown of yield* grownOf(all as ReadonlyArray<OpenStream>)) yield* readOn(grown)
        })
      })
    })
  )
}

/** How long the administrative state of a library is kept in memory after its last use. */
const IDLE = "30 seconds"

const noEvents = { head: emptyHead, events: [] }

class OpenStream implements Administration {
  readonly key: StreamKey
  head: StreamHead
  current: AdministrationState
  /** The log was restored, and the stream is to be read from its beginning. */
  hasGoneBack = false
  readonly listeners = new Set<AdministrationListener>()

  constructor(key: StreamKey, head: StreamHead, state: AdministrationState) {
    this.key = key
    this.head = head
    this.current = state
  }

  state(): AdministrationState {
    return this.current
  }
}
