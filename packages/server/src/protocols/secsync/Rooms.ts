/** Secsync documents as rooms: what the pure core decides, and the frames that tell others of it. */
import { Context, Effect, Layer, Result } from "effect"
import type { DocumentId, Hash } from "../../domain/Ids.ts"
import * as Secsync from "../../domain/secsync/index.ts"
import type { Room, RoomProtocol } from "../../rooms/RoomProtocol.ts"
import { makeRooms, type Rooms } from "../../rooms/Rooms.ts"
import { makeRestoreCoordinator, type RestoreCoordinator } from "./RestoreCoordinator.ts"
import { snapshotFrame, updateFrame } from "./Wire.ts"
import { hearReservation, makeWriteReservations, type WriteReservations } from "./WriteReservations.ts"

type Command = Secsync.DocumentCommand & { readonly payload: Uint8Array; readonly payloadHash: Hash }

/** What a room of documents carries beside its state. */
export interface DocumentLocal {
  readonly restoration: RestoreCoordinator
  readonly turn: WriteReservations
}

export type DocumentRoom = Room<Secsync.DocumentState, Command, Secsync.DocumentRefusal, DocumentLocal>

const protocol: RoomProtocol<Secsync.DocumentState, Command, Secsync.DocumentRefusal, DocumentLocal, undefined> = {
  initial: (key) => Secsync.initial(key.streamId as DocumentId),
  decide: (state, command) =>
    Result.map(Secsync.decide(state, command), (event) => ({
      event: Secsync.toNewEvent(event, command.payloadHash),
      payload: command.payload
    })),
  context: () => undefined,
  readsPayloads: false,
  evolve: (state, event) => Secsync.evolve(state, Secsync.fromStreamEvent(event), event.payloadHash),
  isSettled: (refusal) => refusal._tag === "AlreadyStored",
  frame: (event, payload) => {
    if (payload === null) return undefined
    return event.type === "SnapshotStored" ? snapshotFrame(payload) : updateFrame(payload)
  },
  local: (state) => ({
    restoration: makeRestoreCoordinator(state.evicted?.snapshot.snapshotId),
    turn: makeWriteReservations()
  }),
  observe: ({ restoration, turn }, event) => {
    turn.wrote(event.origin)
    // Updates are most of what happens, and nothing more.
    if (!event.checkpoint) return
    const decoded = Secsync.fromStreamEvent(event)
    if (decoded._tag === "Evicted") return restoration.evicted(decoded.snapshot.snapshotId)
    restoration.restored()
  },
  hear: ({ turn }, message) => hearReservation(turn, message)
}

/** A client that lost its connection is back within that; many documents are opened once and left. */
const IDLE = "10 seconds"

export class DocumentRooms extends Context.Service<
  DocumentRooms,
  Rooms<Secsync.DocumentState, Command, Secsync.DocumentRefusal, DocumentLocal>
>()("@sealog/server/DocumentRooms") {
  static readonly layer = Layer.effect(
    DocumentRooms,
    makeRooms(protocol, { idle: IDLE }).pipe(Effect.map(DocumentRooms.of))
  )
}
