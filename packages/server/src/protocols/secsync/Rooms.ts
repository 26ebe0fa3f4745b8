/** The rooms of Secsync documents: they decide by the pure core and make the frames that are fanned out. */
import { Context, Effect, Layer, Result } from "effect"
import type { DocumentId, Hash } from "../../domain/Ids.ts"
import { noQuota, type Quota } from "../../domain/Quota.ts"
import type { StreamKey } from "../../domain/Stream.ts"
import * as Secsync from "../../domain/secsync/index.ts"
import type { PackedMessage } from "../../domain/secsync/PackedMessage.ts"
import { Damage } from "../../rooms/Damage.ts"
import { LogEpoch } from "../../rooms/LogEpoch.ts"
import { type OpenLogUse, unusedLog } from "../../rooms/LogUses.ts"
import { Openings } from "../../rooms/Openings.ts"
import { Quotas } from "../../rooms/Quotas.ts"
import type { Room, RoomProtocol } from "../../rooms/RoomProtocol.ts"
import { makeRooms, type Rooms } from "../../rooms/Rooms.ts"
import { type DocumentCount, makeDocumentCounts } from "./DocumentCounts.ts"
import { showDocuments } from "./DocumentMetrics.ts"
import { OwedSnapshots, receiveOwed } from "./OwedSnapshots.ts"
import { RelayedMessages } from "./RelayedMessages.ts"
import { makeRestoreCoordinator, type RestoreCoordinator } from "./RestoreCoordinator.ts"
import { signatureOf, snapshotFrame, updateFrame } from "./Wire.ts"
import { makeWriteReservations, receiveReservation, type WriteReservations } from "./WriteReservations.ts"

type Command =
  | ((Secsync.StoreSnapshot | Secsync.StoreUpdate) & {
      readonly payload: Uint8Array
      readonly payloadHash: Hash
      /** The payload, packed; undefined: its text cannot be made again from its bytes. */
      readonly packed?: PackedMessage | undefined
    })
  | Secsync.CreateDocument

/** The state of a document's room in this process that is not in the log. */
export interface DocumentLocal {
  readonly restoreCoordinator: RestoreCoordinator
  readonly reservations: WriteReservations
  readonly relayed: RelayedMessages
  readonly owedSnapshots: OwedSnapshots
  /** The library's quota at this moment. */
  quota: () => Quota
  /** The library's documents. undefined: the log holds this one, so it does not matter how many there are. */
  documents: DocumentCount | undefined
  /** The use that the library makes of the log. */
  logUse: OpenLogUse
  /** The log holds no event of the document, as far as this process knows. */
  isNew: boolean
  /** Whether a client's first snapshot makes the document. */
  mayCreate: boolean
  /** When the log was last restored from a backup, milliseconds since 1970; undefined: never. */
  restoredAt: () => number | undefined
  /** Whether the log was restored so recently that clients are on their way back. */
  isReturning: () => boolean
}

export type DocumentRoom = Room<Secsync.DocumentState, Command, Secsync.DocumentRefusal, DocumentLocal>

const protocol: RoomProtocol<
  Secsync.DocumentState,
  Command,
  Secsync.DocumentRefusal,
  DocumentLocal,
  Secsync.DocumentContext
> = {
  initial: (key) => Secsync.initial(key.streamId as DocumentId),
  decide: (state, command, context) =>
    Result.map(Secsync.decide(state, command, context), (event) => ({
      event: Secsync.toNewEvent(event, "payloadHash" in command ? command.payloadHash : ""),
      payload: "payload" in command ? command.payload : null,
      packed: "payload" in command ? command.packed : undefined
    })),
  context: ({ documents, logUse, mayCreate, quota, restoredAt }) => ({
    quota: quota(),
    documents: documents?.current() ?? 0,
    logUse: logUse.forDecision(),
    mayCreate,
    restoredAt: restoredAt()
  }),
  readsPayloads: false,
  evolve: (state, event) => Secsync.evolve(state, Secsync.fromStreamEvent(event), event.payloadHash, event.recordedAt),
  isSettled: (refusal) => refusal._tag === "AlreadyStored",
  frame: (event, payload) => {
    if (payload === null) return undefined
    return event.type === "SnapshotStored" ? snapshotFrame(payload) : updateFrame(payload)
  },
  local: (state) => ({
    restoreCoordinator: makeRestoreCoordinator(state.evicted?.snapshot.snapshotId),
    reservations: makeWriteReservations(),
    relayed: new RelayedMessages(),
    owedSnapshots: new OwedSnapshots(),
    quota: () => noQuota,
    documents: undefined,
    logUse: unusedLog,
    isNew: !state.isCreated,
    mayCreate: true,
    restoredAt: () => undefined,
    isReturning: () => false
  }),
  observe: ({ documents, logUse, owedSnapshots, restoreCoordinator, reservations }, event, payload) => {
    logUse.add(payload)
    reservations.wrote(event.origin)
    if (event.version === 1) documents?.add()
    if (owedSnapshots.hasAny && event.type === "UpdateStored") owedSnapshots.stored(Secsync.fromStreamEvent(event))
    // Most events are updates: they are not decoded here.
    if (!event.checkpoint) return
    const decoded = Secsync.fromStreamEvent(event)
    if (decoded._tag === "Evicted") return restoreCoordinator.evicted(decoded.snapshot.snapshotId)
    if (decoded._tag === "SnapshotStored") owedSnapshots.bring(decoded.pubKey)
    restoreCoordinator.restored()
  },
  relays: ({ relayed }, frame) => relayed.add(signatureOf(frame)),
  hear: ({ owedSnapshots, reservations }, message) => {
    receiveReservation(reservations, message)
    receiveOwed(owedSnapshots, message)
  }
}

/** How long an empty room stays open. A client that lost its connection is usually back by then. */
const IDLE = "10 seconds"

export class DocumentRooms extends Context.Service<
  DocumentRooms,
  Rooms<Secsync.DocumentState, Command, Secsync.DocumentRefusal, DocumentLocal>
>()("@sealog/server/DocumentRooms") {
  /** `mayCreate`: whether clients make documents by their first snapshot. */
  static readonly layer = (mayCreate = true) =>
    Layer.effect(
      DocumentRooms,
      Effect.gen(function* () {
        const quotas = yield* Quotas
        const openings = yield* Openings
        const epoch = yield* LogEpoch
        const damage = yield* Damage
        const countOf = yield* makeDocumentCounts
        const prepare = Effect.fnUntraced(function* ({ libraryId }: StreamKey, local: DocumentLocal) {
          local.quota = yield* quotas.of(libraryId)
          local.logUse = yield* quotas.logUse(libraryId)
          local.mayCreate = mayCreate
          local.restoredAt = epoch.restoredAt
          local.isReturning = epoch.isReturning
          if (local.isNew) local.documents = yield* countOf(libraryId)
        })
        const rooms = yield* makeRooms(protocol, { protocol: "secsync", idle: IDLE, prepare, epoch, damage, openings })
        yield* showDocuments(rooms.all)
        return DocumentRooms.of(rooms)
      })
    ).pipe(Layer.provide([LogEpoch.layer, Damage.layer]))
}
