/**
 * Compacts a library and writes its checkpoint, in slices. Between two slices the room takes other commands, and the process
 * does other work. If it ends in between, the next process begins again with what is left.
 */
import { Effect } from "effect"
import { checkpointParts, isCheckpointDue } from "../../domain/verdant/Checkpoint.ts"
import type { LibraryCommand, LibraryRefusal } from "../../domain/verdant/Commands.ts"
import { type Mergeable, mergeableIn } from "../../domain/verdant/Mergeable.ts"
import { fitsOneEvent, longMergesOfSlice, nextMergeable, oldestFirst } from "../../domain/verdant/Merging.ts"
import { isTruant, withRecordable } from "../../domain/verdant/Progress.ts"
import { entityOf, type LibraryState } from "../../domain/verdant/State.ts"
import { nextTurn } from "../../internal/nextTurn.ts"
import { inLine } from "../../rooms/LongWorkLine.ts"
import type { Outcome } from "../../rooms/RoomProtocol.ts"
import type { LibraryRoom } from "./Rooms.ts"

const ORIGIN = "@upkeep"

/** Merges the operations that are older than `upTo`. */
export const compactLibrary = Effect.fnUntraced(function* (room: LibraryRoom, upTo: string) {
  yield* nextTurn
  if (fitsOneEvent(room.state())) return yield* repeat(room, { _tag: "Compact", upTo })
  if ((yield* mergeAll(room, upTo)) && isCheckpointDue(room.state())) yield* writeCheckpoint(room)
  if (room.state().purged < room.state().purgeable) yield* repeat(room, { _tag: "PurgePayloads" })
})

/** Goes through the objects that there are now. Returns whether it merged anything. */
const mergeAll = Effect.fnUntraced(function* (room: LibraryRoom, upTo: string) {
  const entities = oldestFirst(room.state())
  let [isDone, hasMerged] = [false, false]
  while (!isDone) {
    const mergeable = mergeableNow(room, upTo)
    if (mergeable === undefined) break
    const { oids, done } = nextMergeable(entities, mergeable)
    if (oids.length > 0 && (yield* mergeObjects(room, upTo, oids))) hasMerged = true
    isDone = done
    yield* nextTurn
  }
  return hasMerged
})

/** Merges until nothing of these objects is left that may be merged. Returns whether it merged anything. */
const mergeObjects = Effect.fnUntraced(function* (room: LibraryRoom, upTo: string, oids: ReadonlyArray<string>) {
  let left = oids
  let hasMerged = false
  while (left.length > 0) {
    const before = mergeableNow(room, upTo)
    const long = before && longMergesOfSlice(room.state(), before, left)
    if (long !== undefined) yield* inLine(long, { isStopped: room.isDropped })
    const { outcome, state } = yield* submit(room, { _tag: "Merge", upTo, oids: left })
    if (outcome._tag !== "Stored") break
    hasMerged = true
    const mergeable = mergeableNow(room, upTo)
    if (mergeable === undefined) break
    left = left.filter((oid) => isMergeable(state, oid, mergeable))
  }
  return hasMerged
})

const mergeableNow = (room: LibraryRoom, upTo: string): Mergeable | undefined => {
  const context = room.local.context()
  return mergeableIn(withRecordable(room.state(), context), { upTo, isTruant: (replica) => isTruant(replica, context) })
}

const isMergeable = (state: LibraryState, oid: string, mergeable: Mergeable): boolean => {
  const entity = entityOf(state, oid)
  return entity !== undefined && mergeable(entity, 1) > 0
}

const writeCheckpoint = Effect.fnUntraced(function* (room: LibraryRoom) {
  const begun = yield* submit(room, { _tag: "BeginCheckpoint" })
  if (begun.outcome._tag !== "Stored") return
  const of = begun.outcome.event.version
  let part = 0
  for (const payload of checkpointParts(begun.state)) {
    const { outcome } = yield* submit(room, { _tag: "WriteCheckpointPart", of, part, payload })
    if (outcome._tag !== "Stored") return
    part += 1
  }
  yield* submit(room, { _tag: "EndCheckpoint", of, parts: part })
})

/** Until it is refused. */
const repeat = Effect.fnUntraced(function* (room: LibraryRoom, command: LibraryCommand) {
  while ((yield* submit(room, command)).outcome._tag === "Stored");
})

/** Submits a command, and goes on in another turn of the event loop. `state`: right after the command's event. */
const submit = (room: LibraryRoom, command: LibraryCommand) =>
  Effect.callback<{ readonly outcome: Outcome<LibraryRefusal>; readonly state: LibraryState }>((resume) =>
    room.submit(command, ORIGIN, (outcome) => resume(Effect.succeed({ outcome, state: room.state() })))
  ).pipe(Effect.tap(() => nextTurn))
