/** Verdant libraries as rooms: what the pure core decides, and what a process knows of its clients beside the log. */
import { randomBytes } from "node:crypto"
import { Clock, Context, Effect, Layer } from "effect"
import type { LibraryId } from "../../domain/Ids.ts"
import type { StreamKey } from "../../domain/Stream.ts"
import type { LibraryCommand, LibraryRefusal } from "../../domain/verdant/Commands.ts"
import { decide } from "../../domain/verdant/Decide.ts"
import { VERDANT } from "../../domain/verdant/Events.ts"
import { evolve, initial, type LibraryState } from "../../domain/verdant/Library.ts"
import type { Room, RoomProtocol } from "../../RoomProtocol.ts"
import { makeRooms, type Rooms } from "../../Rooms.ts"
import { Cursors } from "./Cursors.ts"
import { Presence } from "./Presence.ts"

/** What a room of a library carries beside its state. */
export interface LibraryLocal {
  readonly cursors: Cursors
  readonly presence: Presence
  /** Where folding was last tried in vain: until more is known of the replicas it would be again. */
  foldTriedAt: string | null
  /** When files were last looked through, milliseconds since 1970. */
  sweptAt: number
}

export type LibraryRoom = Room<LibraryState, LibraryCommand, LibraryRefusal, LibraryLocal>

export const libraryKey = (libraryId: LibraryId): StreamKey => ({ libraryId, streamId: VERDANT })

const protocolAt = (now: () => number): RoomProtocol<LibraryState, LibraryCommand, LibraryRefusal, LibraryLocal> => {
  const process = randomBytes(9).toString("base64url")
  return {
    initial: () => initial,
    decide,
    evolve,
    readsPayloads: true,
    isSettled: () => false,
    // Who sees what depends on the user: sessions make their messages, one for all who see the same.
    frame: () => undefined,
    local: () => ({ cursors: new Cursors(), presence: new Presence(process, now), foldTriedAt: null, sweptAt: 0 }),
    observe: ({ cursors }, event) => {
      if (event.type === "Evicted") cursors.clear()
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
      return LibraryRooms.of(yield* makeRooms(protocolAt(() => clock.currentTimeMillisUnsafe())))
    })
  )
}
