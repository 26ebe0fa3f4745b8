/** Verdant libraries as rooms: what the pure core decides, and what a process knows of its clients beside the log. */
import { randomBytes } from "node:crypto"
import { Clock, Context, Effect, FiberSet, Layer, Option } from "effect"
import type { LibraryId } from "../../domain/Ids.ts"
import type { StreamKey } from "../../domain/Stream.ts"
import type { LibraryCommand, LibraryRefusal } from "../../domain/verdant/Commands.ts"
import { decide } from "../../domain/verdant/Decide.ts"
import { VERDANT } from "../../domain/verdant/Events.ts"
import { evolve } from "../../domain/verdant/Evolve.ts"
import { initial, isEmpty, type LibraryState } from "../../domain/verdant/State.ts"
import { BlobStore } from "../../ports/BlobStore.ts"
import { EventLog } from "../../ports/EventLog.ts"
import type { Room, RoomProtocol } from "../../rooms/RoomProtocol.ts"
import { makeRooms, type Rooms } from "../../rooms/Rooms.ts"
import { deleteEvictedFiles, filesOfGenerations } from "./files/EvictedFiles.ts"
import { Presence } from "./Presence.ts"
import { ReplicaProgress } from "./ReplicaProgress.ts"

/** What a room of a library carries beside its state. */
export interface LibraryLocal {
  readonly libraryId: LibraryId
  readonly cursors: ReplicaProgress
  readonly presence: Presence
  /** Where folding was last tried in vain: until more is known of the replicas it would be again. */
  foldTriedAt: string | null
  /** When files were last looked through, milliseconds since 1970. */
  sweptAt: number
}

/** Longer than those who poll stay away, and than they are shown as present: what is known of them is in the room. */
const IDLE = "1 minute"

export type LibraryRoom = Room<LibraryState, LibraryCommand, LibraryRefusal, LibraryLocal>

export const libraryKey = (libraryId: LibraryId): StreamKey => ({ libraryId, streamId: VERDANT })

const makeProtocol = (
  now: () => number,
  onEvicted: (libraryId: LibraryId) => void
): RoomProtocol<LibraryState, LibraryCommand, LibraryRefusal, LibraryLocal> => {
  const process = randomBytes(9).toString("base64url")
  return {
    initial: () => initial,
    decide,
    evolve,
    readsPayloads: true,
    isSettled: () => false,
    // Who sees what depends on the user: sessions make their messages, one for all who see the same.
    frame: () => undefined,
    local: (state, { libraryId }) => {
      // It was evicted while it had no room here, and nobody has brought it back yet.
      if (state.version > 0 && state.version === state.checkpoint && isEmpty(state)) onEvicted(libraryId)
      const presence = new Presence(process, now)
      return { libraryId, presence, cursors: new ReplicaProgress(), foldTriedAt: null, sweptAt: 0 }
    },
    observe: (local, event) => {
      const { cursors, libraryId } = local
      if (event.type === "CursorsAdvanced") local.foldTriedAt = null
      if (event.type === "Evicted") {
        cursors.evict()
        onEvicted(libraryId)
      }
      if (event.type === "ReplicaForgotten" && "replicaId" in event.data) cursors.forget(event.data.replicaId as never)
    },
    hear: ({ presence }, message) => presence.hear(message)
  }
}

export class LibraryRooms extends Context.Service<
  LibraryRooms,
  Rooms<LibraryState, LibraryCommand, LibraryRefusal, LibraryLocal>
>()("@sealog/server/LibraryRooms") {
  static readonly layer = Layer.effect(
    LibraryRooms,
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const [log, blobs] = [yield* EventLog, yield* Effect.serviceOption(BlobStore)]
      const run = yield* FiberSet.makeRuntime<never>()
      // Whoever evicted it may not have reached the files; every process that hears of it may delete them.
      const deleteFiles = (libraryId: LibraryId): void => {
        if (Option.isNone(blobs)) return
        const deleting = Effect.flatMap(filesOfGenerations(libraryId), deleteEvictedFiles).pipe(
          Effect.provideService(BlobStore, blobs.value),
          Effect.provideService(EventLog, log),
          // A sweep of the store finds them as well, later.
          Effect.catch((error) => Effect.logWarning(error.message))
        )
        run(deleting)
      }
      return LibraryRooms.of(
        yield* makeRooms(
          makeProtocol(() => clock.currentTimeMillisUnsafe(), deleteFiles),
          { idle: IDLE }
        )
      )
    })
  )
}
