/** Verdant libraries as rooms: the pure rules, and what a process knows of a library beyond its log. */
import { Clock, Context, Duration, Effect, FiberSet, Layer, Option, Semaphore } from "effect"
import type { LibraryId } from "../../domain/Ids.ts"
import { noQuota, type Quota } from "../../domain/Quota.ts"
import { endsGeneration, type StreamKey } from "../../domain/Stream.ts"
import type { LibraryCommand, LibraryRefusal } from "../../domain/verdant/Commands.ts"
import type { DecisionContext } from "../../domain/verdant/Context.ts"
import { decide } from "../../domain/verdant/Decide.ts"
import { VERDANT } from "../../domain/verdant/Events.ts"
import { evolve } from "../../domain/verdant/Evolve.ts"
import { prepare } from "../../domain/verdant/prepare.ts"
import { initial, isNew, type LibraryState } from "../../domain/verdant/State.ts"
import { RandomId } from "../../internal/randomId.ts"
import { BlobStore } from "../../ports/BlobStore.ts"
import { EventLog } from "../../ports/EventLog.ts"
import { Damage } from "../../rooms/Damage.ts"
import { LogEpoch } from "../../rooms/LogEpoch.ts"
import { type OpenLogUse, unusedLog } from "../../rooms/LogUses.ts"
import { Openings } from "../../rooms/Openings.ts"
import { Quotas } from "../../rooms/Quotas.ts"
import type { Room, RoomProtocol } from "../../rooms/RoomProtocol.ts"
import { makeRooms, type Rooms } from "../../rooms/Rooms.ts"
import { deleteEvictedFiles, filesOfGenerations } from "./files/EvictedFiles.ts"
import { showLibraries } from "./LibraryMetrics.ts"
import { closeLibrariesForMemory } from "./MemoryRelief.ts"
import { Presence, type PresenceServices } from "./Presence.ts"
import { ReplicaProgress } from "./ReplicaProgress.ts"

/** The memory of a library's room besides its state. */
export interface LibraryLocal {
  readonly libraryId: LibraryId
  readonly progress: ReplicaProgress
  readonly presence: Presence
  /** One answer that takes long is made at a time. */
  readonly answering: Semaphore.Semaphore
  /** The library's quota at this moment. */
  quota: () => Quota
  /** The use that the library makes of the log. */
  logUse: OpenLogUse
  /** Makes the context of a decision at this moment. */
  readonly context: () => DecisionContext
  /** The watermark at the last attempt to compact. Until it rises, or more progress is recorded, another is in vain. */
  compactionTriedAt: string | null
  /** When the files were last swept, milliseconds since 1970. */
  sweptAt: number
}

/** Longer than the interval of polling clients and their presence: a room holds what is known of them. */
const IDLE = "1 minute"

export type LibraryRoom = Room<LibraryState, LibraryCommand, LibraryRefusal, LibraryLocal>

export const libraryKey = (libraryId: LibraryId): StreamKey => ({ libraryId, streamId: VERDANT })

interface ProtocolOptions {
  /** Names this process to others. */
  readonly process: string
  readonly now: () => number
  readonly later: PresenceServices["later"]
  readonly truancy: number
  readonly restoredAt: () => number | undefined
  readonly onEvicted: (libraryId: LibraryId) => void
}

const makeProtocol = ({
  later,
  now,
  onEvicted,
  process,
  restoredAt,
  truancy
}: ProtocolOptions): RoomProtocol<LibraryState, LibraryCommand, LibraryRefusal, LibraryLocal, DecisionContext> => {
  return {
    initial: () => initial,
    decide,
    context: (local) => local.context(),
    evolve,
    prepare,
    readsPayloads: true,
    isSettled: () => false,
    // Users see different parts of an event, so sessions make the messages, one for all who see the same.
    frame: () => undefined,
    local: (state, { libraryId }) => {
      // The library was evicted while it had no room here, and no client has restored it yet.
      if (state.version > 0 && state.version === state.checkpoint && isNew(state)) onEvicted(libraryId)
      const progress = new ReplicaProgress()
      const local: LibraryLocal = {
        libraryId,
        progress,
        presence: new Presence({ process, now, later }),
        answering: Semaphore.makeUnsafe(1),
        quota: () => noQuota,
        logUse: unusedLog,
        context: () => ({
          now: now(),
          truancy,
          quota: local.quota(),
          logUse: local.logUse.forDecision(),
          restoredAt: restoredAt(),
          known: progress.snapshot(),
          evictedContent: progress.evictedContent()
        }),
        compactionTriedAt: null,
        sweptAt: 0
      }
      return local
    },
    observe: (local, event, payload) => {
      const { libraryId, logUse, progress } = local
      logUse.add(payload)
      if (event.type === "CursorsAdvanced") local.compactionTriedAt = null
      if (endsGeneration(event.type)) {
        progress.evict()
        onEvicted(libraryId)
      }
      if (event.type === "ReplicaForgotten" && "replicaId" in event.data) {
        progress.forget(event.data.replicaId as never)
      }
    },
    hear: ({ presence }, message) => presence.hear(message)
  }
}

export class LibraryRooms extends Context.Service<
  LibraryRooms,
  Rooms<LibraryState, LibraryCommand, LibraryRefusal, LibraryLocal>
>()("@sealog/server/LibraryRooms") {
  /** `replicaTruancy`: a replica that was not heard of for longer is truant. Default: 7 days. */
  static readonly layer = (options: { readonly replicaTruancy?: Duration.Input } = {}) =>
    Layer.effect(
      LibraryRooms,
      Effect.gen(function* () {
        const clock = yield* Clock.Clock
        const [log, blobs] = [yield* EventLog, yield* Effect.serviceOption(BlobStore)]
        const quotas = yield* Quotas
        const openings = yield* Openings
        const epoch = yield* LogEpoch
        const damage = yield* Damage
        const run = yield* FiberSet.makeRuntime<never>()
        // The command that evicted the library may not reach its files, so every process that observes it deletes them.
        const deleteFiles = (libraryId: LibraryId): void => {
          if (Option.isNone(blobs)) return
          const deleting = Effect.flatMap(filesOfGenerations(libraryId), deleteEvictedFiles).pipe(
            Effect.provideService(BlobStore, blobs.value),
            Effect.provideService(EventLog, log),
            // A later sweep of the store finds them as well.
            Effect.catch((error) => Effect.logWarning(error.message))
          )
          run(deleting)
        }
        const protocol = makeProtocol({
          process: (yield* RandomId)(),
          now: () => clock.currentTimeMillisUnsafe(),
          later: (millis, then) => run(Effect.andThen(Effect.sleep(millis), Effect.sync(then))),
          truancy: Duration.toMillis(options.replicaTruancy ?? "7 days"),
          restoredAt: epoch.restoredAt,
          onEvicted: deleteFiles
        })
        const setQuota = Effect.fnUntraced(function* ({ libraryId }: StreamKey, local: LibraryLocal) {
          local.quota = yield* quotas.of(libraryId)
          local.logUse = yield* quotas.logUse(libraryId)
        })
        const rooms = yield* makeRooms(protocol, {
          protocol: "verdant",
          idle: IDLE,
          prepare: setQuota,
          ...{ epoch, damage, openings }
        })
        yield* showLibraries(rooms.all)
        yield* closeLibrariesForMemory({ all: rooms.all, openings, run: (effect) => void run(effect) })
        return LibraryRooms.of(rooms)
      })
    ).pipe(Layer.provide([LogEpoch.layer, Damage.layer]))
}
