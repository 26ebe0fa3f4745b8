/** Commands to a library from the server itself, and a look at its state, in the room that its clients use. */
import { Effect } from "effect"
import type { LibraryId } from "../../domain/Ids.ts"
import type { LibraryCommand, LibraryRefusal } from "../../domain/verdant/Commands.ts"
import { StorageUnavailable } from "../../ports/EventLog.ts"
import type { Outcome } from "../../rooms/RoomProtocol.ts"
import { LibraryRooms, libraryKey } from "./Rooms.ts"

const ORIGIN = "@libraries"

/** Returns the library's room and the outcome: the room has read what other processes wrote. */
export const submitTo = Effect.fnUntraced(function* (libraryId: LibraryId, command: LibraryCommand) {
  const room = yield* (yield* LibraryRooms).get(libraryKey(libraryId))
  const outcome = yield* Effect.callback<Outcome<LibraryRefusal>>((resume) =>
    room.submit(command, ORIGIN, (outcome) => resume(Effect.succeed(outcome)))
  )
  if (outcome._tag === "Failed") {
    return yield* Effect.die(new Error("The library's room failed; the server log has the cause"))
  }
  if (outcome._tag === "Unavailable") {
    const operation = command._tag === "Look" ? "read a library" : "write to a library"
    return yield* new StorageUnavailable({ operation, cause: new Error("not available") })
  }
  return { room, isStored: outcome._tag === "Stored", outcome }
})

/** The state of a library, which takes no memory beside that of its room. */
export const lookAt = (libraryId: LibraryId) =>
  Effect.scoped(Effect.map(submitTo(libraryId, { _tag: "Look" }), ({ room }) => room.state()))
