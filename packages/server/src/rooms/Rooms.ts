/**
 * The open rooms of one protocol. A room opens with the first session of its stream, and closes a while after the last.
 * Signals from other processes reach a room through here.
 */
import { Array as Arr, Cause, Clock, type Duration, Effect, FiberSet, Function, type Scope, Stream } from "effect"
import type { LibraryId } from "../domain/Ids.ts"
import { EVICTED, type StreamHead, type StreamKey, streamName } from "../domain/Stream.ts"
import { makeFrameLog } from "../internal/FrameLog.ts"
import { makeKeyedResource } from "../internal/KeyedResource.ts"
import { monotonicMillis } from "../internal/monotonicMillis.ts"
import * as Metrics from "../metrics/Metrics.ts"
import { EventLog, type PlacedEvent, type StorageUnavailable } from "../ports/EventLog.ts"
import { Signals } from "../ports/Signals.ts"
import { Committer } from "./Committer.ts"
import type { Damage } from "./Damage.ts"
import { CurrentFrameTraces } from "./FrameTraces.ts"
import { foldTail } from "./foldTail.ts"
import { isBehind } from "./isBehind.ts"
import type { LogEpoch } from "./LogEpoch.ts"
import type { InTurn, Openings } from "./Openings.ts"
import { makeRoom, roomMetricsOf } from "./Room.ts"
import type { Room, RoomProtocol } from "./RoomProtocol.ts"
import { makeSharedHeads } from "./SharedHeads.ts"
import { makeTailCache } from "./TailCache.ts"
import { damageIn, wrongHead } from "./VerifiedEventLog.ts"

export interface Rooms<State, Command, Refusal, Local> {
  /** Returns the room of a stream, and opens it if need be. It stays open until the scope closes, and `idle` longer. */
  readonly get: (key: StreamKey) => Effect.Effect<Room<State, Command, Refusal, Local>, StorageUnavailable, Scope.Scope>
  /** Calls the listener after every commit of these rooms, until the scope closes. If it throws, that is logged. */
  readonly onCommitted: (listener: (key: StreamKey) => void) => Effect.Effect<void, never, Scope.Scope>
  /** Waits until every command in these rooms is answered. */
  readonly drain: Effect.Effect<void>
  /** The rooms that are open. */
  readonly all: () => Iterable<Room<State, Command, Refusal, Local>>
  /** The stream whose commands have waited longest since an answer, and since when; see `Room.waitingSince`. */
  readonly longestWait: () => { readonly key: StreamKey; readonly since: number } | undefined
}

/** Streams whose heads one query reads. */
const HEADS_PAGE = 500
/** How often the heads of some rooms are compared with the log's, which may have been restored. */
const COMPARISON = "2 seconds"

/**
 * Makes the rooms of one protocol.
 *
 * @param options.protocol the protocol's name in the metrics
 * @param options.idle how long a room stays open after its last session
 * @param options.epoch where the rooms report that the log was restored, and hear of it. Default: nowhere, for tests
 * @param options.damage where the rooms report what they find when they open. Default: nowhere, for tests
 * @param options.openings the line in which streams wait to be read. Default: none, for tests
 * @param options.prepare runs when a room opens, before its first command; its scope closes with the room
 */
export const makeRooms = Effect.fnUntraced(function* <State, Command, Refusal, Local, Context>(
  protocol: RoomProtocol<State, Command, Refusal, Local, Context>,
  {
    damage,
    epoch,
    idle,
    openings,
    prepare,
    protocol: protocolName
  }: {
    readonly protocol: Metrics.ProtocolName
    readonly idle: Duration.Input
    readonly epoch?: LogEpoch["Service"]
    readonly damage?: Damage["Service"]
    readonly openings?: Openings["Service"]
    readonly prepare?: (key: StreamKey, local: Local) => Effect.Effect<void, StorageUnavailable, Scope.Scope>
  }
) {
  const log = yield* EventLog
  const committer = yield* Committer
  const signals = yield* Signals
  const clock = yield* Clock.Clock
  const tails = yield* makeTailCache(log)
  const heads = yield* makeSharedHeads(log)
  const frames = yield* makeFrameLog
  const traces = yield* CurrentFrameTraces
  const run = yield* FiberSet.makeRuntime<never>()
  const open = new Map<string, Room<State, Command, Refusal, Local>>()
  const listeners = new Set<(key: StreamKey) => void>()
  const metrics = roomMetricsOf(protocolName)

  /** Reports a stream that the log holds less of than a room, unless the events are there and their head alone is wrong. */
  const wentBack = (key: StreamKey, known: StreamHead, found: StreamHead) =>
    Effect.gen(function* () {
      const [last] = yield* log.read(key, { after: known.version - 1, limit: 1, payloads: false })
      if (last?.event.chain === known.chain) return damage?.report(wrongHead(key, known.version))
      // A read from the beginning fails if damage hides the stream.
      if (found.version === 0) yield* log.read(key, { after: 0, limit: 1, payloads: false })
      return epoch?.report(key, known, found)
    }).pipe(
      Effect.catch(() => Effect.sync(() => epoch?.report(key, known, found))),
      Effect.tapCause((cause) => Effect.sync(() => reportDamage(cause))),
      Effect.catchDefect((defect) => Effect.logError(`Reading ${streamName(key)} failed`, Cause.die(defect)))
    )

  const openRoom = Effect.fnUntraced(
    function* (name: string) {
      const key = keyOf(name)
      const start = () => protocol.initial(key)
      let isEvicted = false
      const apply = (before: State, { event, payload }: PlacedEvent): State => {
        isEvicted = event.type === EVICTED
        try {
          return protocol.evolve(before, event, payload)
        } catch (cause) {
          throw new Error(`${event.type} ${event.version} of ${name} cannot be applied`, { cause })
        }
      }
      const read = Effect.gen(function* () {
        const inTurn = openings === undefined ? atOnce : yield* openings.begin
        if (protocol.readsPayloads) {
          return yield* foldTail(readInTurn(log, inTurn), key, start, apply, (before, { event, payload }) =>
            protocol.prepare?.(before, event, payload)
          )
        }
        const { events, head } = yield* inTurn(tails.open(key))
        return { head, value: events.reduce(apply, start()) }
      })
      const { head, value: state } = yield* Effect.scoped(read)
      const services = {
        log,
        heads,
        committer,
        announce: (key: StreamKey) => {
          for (const listener of listeners) {
            try {
              listener(key)
            } catch (defect) {
              run(Effect.logError(`A listener failed after a commit of ${name}`, Cause.die(defect)))
            }
          }
          run(signals.announce([key]))
        },
        broadcast: (message: Uint8Array) => void run(signals.broadcast({ key, frame: message })),
        now: () => clock.currentTimeMillisUnsafe(),
        elapsed: () => monotonicMillis(clock),
        run: (effect: Effect.Effect<void>) => void run(effect),
        tails,
        frames,
        traces,
        metrics,
        dropped: () => {
          // A room that has closed may have a successor.
          if (open.get(name) !== room) return
          open.delete(name)
          run(rooms.invalidate(name))
        },
        wentBack: (known: StreamHead, found: StreamHead) => void run(wentBack(key, known, found))
      }
      const room: Room<State, Command, Refusal, Local> = makeRoom(key, protocol, { head, state, isEvicted }, services)
      if (prepare !== undefined) yield* prepare(key, room.local)
      return yield* Effect.acquireRelease(
        Effect.sync(() => {
          open.set(name, room)
          return room
        }),
        () => Effect.sync(() => void (open.get(name) === room && open.delete(name)))
      )
    },
    Effect.tapCause((cause) => Effect.sync(() => reportDamage(cause)))
  )

  const reportDamage = (cause: Cause.Cause<unknown>) => {
    const found = damageIn(cause)
    if (found !== undefined) damage?.report(found)
  }
  const rooms = yield* makeKeyedResource({ open: openRoom, idle })

  const wake = (keys: ReadonlyArray<StreamKey>) => {
    for (const key of keys) open.get(streamName(key))?.wake()
  }
  /** Wakes the rooms whose streams have grown, and ends those whose streams went back. One query reads all heads. */
  const compare = Effect.fnUntraced(function* (rooms: ReadonlyArray<Room<State, Command, Refusal, Local>>) {
    // Before the query: a room may commit while it is under way.
    const known = rooms.map((room) => room.head())
    const heads = yield* log.heads(rooms.map(({ key }) => key))
    for (const [i, room] of rooms.entries()) {
      if (isBehind(heads[i]!, known[i]!)) room.leaveLog(heads[i])
      else if (heads[i]!.version > room.head().version) room.wake()
    }
  })
  const wakeGrown = Effect.gen(function* () {
    for (const rooms of Arr.chunksOf(open.values(), HEADS_PAGE)) yield* compare(rooms)
  }).pipe(
    // The next "all" reads the heads again. Until then each room still reads the log before it refuses a command.
    Effect.catch((error) => Effect.logWarning(error.message)),
    Effect.catchDefect((defect) => Effect.logError("Looking for streams that have grown failed", Cause.die(defect)))
  )
  yield* Effect.forkScoped(
    Stream.runForEach(signals.wakeups, (keys) => (keys === "all" ? wakeGrown : Effect.sync(() => wake(keys))))
  )
  let uncompared: Array<Room<State, Command, Refusal, Local>> = []
  const compareSome = Effect.suspend(() => {
    if (uncompared.length === 0) uncompared = Array.from(open.values())
    const some = uncompared.splice(0, HEADS_PAGE).filter((room) => !room.isDropped())
    return some.length === 0 ? Effect.void : compare(some)
  }).pipe(
    Effect.catch((error) => Effect.logDebug("Comparing streams with the log failed", error)),
    Effect.catchDefect((defect) => Effect.logError("Comparing streams with the log failed", Cause.die(defect)))
  )
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(COMPARISON), compareSome)))
  const leaveAll = () => {
    for (const room of Array.from(open.values())) room.leaveLog()
  }
  if (epoch !== undefined) yield* epoch.onRestored(leaveAll)
  yield* Effect.forkScoped(
    Stream.runForEach(signals.broadcasts, ({ key, frame }) =>
      Effect.sync(() => open.get(streamName(key))?.receive(frame))
    )
  )

  const longestWait = () => {
    let longest: { readonly key: StreamKey; readonly since: number } | undefined
    for (const room of open.values()) {
      const since = room.waitingSince()
      if (since !== undefined && since < (longest?.since ?? Number.POSITIVE_INFINITY))
        longest = { key: room.key, since }
    }
    return longest
  }
  yield* Metrics.rooms.at({ protocol: protocolName }).read(() => open.size)
  yield* Metrics.roomWaitSeconds.at({ protocol: protocolName }).read(() => {
    const wait = longestWait()
    return wait === undefined ? 0 : Math.max(0, clock.currentTimeMillisUnsafe() - wait.since) / 1000
  })

  const isIdle = () => Array.from(open.values()).every((room) => room.isIdle())
  const drain = Effect.suspend(() =>
    isIdle() ? Effect.void : Effect.asVoid(Effect.repeat(Effect.sleep("5 millis"), { until: isIdle }))
  )

  return {
    get: (key: StreamKey) => rooms.get(streamName(key)),
    onCommitted: (listener) =>
      Effect.acquireRelease(
        Effect.sync(() => void listeners.add(listener)),
        () => Effect.sync(() => void listeners.delete(listener))
      ),
    drain,
    all: () => open.values(),
    longestWait
  } satisfies Rooms<State, Command, Refusal, Local>
})

const atOnce: InTurn = Function.identity

/** The log with the reads of `foldTail` in their turns. */
const readInTurn = (log: EventLog["Service"], inTurn: InTurn): EventLog["Service"] => ({
  ...log,
  read: (key, options) => inTurn(log.read(key, options)),
  streams: (options) => inTurn(log.streams(options))
})

/** The inverse of `streamName`: a library's id has no slash. */
const keyOf = (name: string): StreamKey => {
  const slash = name.indexOf("/")
  return { libraryId: name.slice(0, slash) as LibraryId, streamId: name.slice(slash + 1) }
}
