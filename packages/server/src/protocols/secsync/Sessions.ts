/** Opens the session of a Secsync client: checks that the client may read the document, and finds its room. */
import { Clock, Context, Effect, FiberSet, Layer, type Scope } from "effect"
import type { DocumentId } from "../../domain/Ids.ts"
import * as Secsync from "../../domain/secsync/index.ts"
import { makeFrameLog } from "../../internal/FrameLog.ts"
import { SharedBytes } from "../../internal/SharedBytes.ts"
import * as Metrics from "../../metrics/Metrics.ts"
import { reachesDocument } from "../../ports/Access.ts"
import { EventLog, type StorageUnavailable } from "../../ports/EventLog.ts"
import { AccessControl, type AccessUndecided } from "../../rooms/AccessControl.ts"
import { CurrentFrameTraces } from "../../rooms/FrameTraces.ts"
import { SigningKeys } from "../../rooms/SigningKeys.ts"
import { Signatures } from "../../signatures/Signatures.ts"
import type { Connection } from "../Connection.ts"
import { MANY_BYTES_IN_FLIGHT } from "../InFlight.ts"
import type { ProtocolSession } from "../ProtocolSession.ts"
import { makeClientsAhead } from "./ClientsAhead.ts"
import { makeLargeDecoder } from "./LargeDecoder.ts"
import { type DocumentRoom, DocumentRooms } from "./Rooms.ts"
import { openSession, refuseAccess, refuseMissing, type SessionRequest } from "./Session.ts"
import { makeStoredHooks, type StoredHookOptions } from "./StoredHooks.ts"
import * as Wire from "./Wire.ts"

export interface SecsyncOptions extends StoredHookOptions {
  /**
   * Whether a client makes a document by its first snapshot. Default: true. If not, a client that asks for a document that
   * does not exist gets `document-not-found`, until `SecsyncDocuments.create` or `sync-admin document create` has made it.
   */
  readonly createDocuments?: boolean
  /**
   * Updates that a snapshot may gather before the server asks a client for the next snapshot. Default: no limit, the
   * clients decide alone. The protocol's authors recommend 200–500.
   */
  readonly maxUpdatesPerSnapshot?: number
  /**
   * The path under which documents are served: with `/sync`, clients have the `websocketEndpoint` `wss://HOST/sync`. Default:
   * none, and the whole path is the document's id. A client that names another path gets `document-error`.
   */
  readonly path?: string
  /**
   * The number of signing keys that each user (`sub`) is bound to in a library: those that the server sees first. A message
   * by any other key, or by a key of another user, closes the connection with 4403. A token with the claim `keys` is exempt: its
   * issuer has decided. Default: no limit, and nothing is remembered. For apps whose users keep their keys: one for each device.
   */
  readonly keysPerUser?: number
  /** The app's own schemas for the additional fields of `publicData`. A message that fails them is malformed. */
  readonly publicData?: Wire.PublicDataSchemas
}

/** How often a newcomer looks whether a client has brought back its document. */
const RETURN_CHECK = "50 millis"

export class SecsyncSessions extends Context.Service<
  SecsyncSessions,
  {
    /**
     * Sends the document, and then its events until the scope closes. If the token or the access policy does not let the
     * client read the document and receive its events, refuses and closes the connection and returns undefined.
     */
    readonly open: (
      connection: Connection,
      request: SessionRequest
    ) => Effect.Effect<ProtocolSession | undefined, StorageUnavailable | AccessUndecided, Scope.Scope>
  }
>()("@sealog/server/SecsyncSessions") {
  static readonly layer = (options: SecsyncOptions = {}) =>
    Layer.effect(
      SecsyncSessions,
      Effect.gen(function* () {
        const rooms = yield* DocumentRooms
        const clock = yield* Clock.Clock
        const inFlight = new SharedBytes(MANY_BYTES_IN_FLIGHT)
        yield* Metrics.showMemory("updates_in_flight", () => inFlight.held, inFlight.maxBytes)
        const now = () => clock.currentTimeMillisUnsafe()
        const run = yield* FiberSet.makeRuntime<never>()
        const services = {
          ahead: makeClientsAhead({ now, run }),
          ask: (yield* AccessControl).ask,
          signatures: yield* Signatures,
          log: yield* EventLog,
          decode: Wire.makeDecoder(options.publicData),
          decodeLarge: yield* makeLargeDecoder(options.publicData),
          maxUpdates: options.maxUpdatesPerSnapshot ?? Number.POSITIVE_INFINITY,
          inFlight,
          now,
          run,
          frames: yield* makeFrameLog,
          traces: yield* CurrentFrameTraces,
          hooks: yield* makeStoredHooks(options),
          claimKey: (yield* SigningKeys).claim
        }
        const mayOpen = Effect.fnUntraced(function* ({ documentId, grant }: SessionRequest) {
          if (!reachesDocument(grant, documentId)) return false
          if (services.ask === undefined) return true
          const mayRead = yield* services.ask(grant, { _tag: "Read", documentId })
          return mayRead && (yield* services.ask(grant, { _tag: "Receive", documentId }))
        })
        /** Whether a document takes clients. The room may not have heard yet that another process has made it. */
        const isServed = Effect.fnUntraced(function* (room: DocumentRoom) {
          const mayOpen = ({ isCreated, isDeleted }: Secsync.DocumentState) =>
            !isDeleted && (isCreated || room.local.mayCreate)
          if (mayOpen(room.state())) return true
          const { events } = yield* room.newestTail
          return mayOpen(
            Secsync.fold(
              room.key.streamId as DocumentId,
              events.map(({ event }) => event)
            )
          )
        })
        /**
         * Right after the log was restored, a client may bring back a snapshot that does not follow from the one that the log
         * holds. A newcomer that had been sent that one could not follow.
         */
        const awaitReturning = (room: DocumentRoom, { known }: SessionRequest): Effect.Effect<void> => {
          const mayFollow = () => {
            const state = room.state()
            const isLevel = known.snapshotId === undefined || known.snapshotId === state.active?.snapshotId
            return !isLevel || !Secsync.mayComeBack(state, { restoredAt: room.local.restoredAt() })
          }
          const isOver = () => !room.local.isReturning() || room.isDropped() || mayFollow()
          return Effect.suspend(() =>
            isOver() ? Effect.void : Effect.asVoid(Effect.repeat(Effect.sleep(RETURN_CHECK), { until: isOver }))
          )
        }
        const open = Effect.fnUntraced(function* (connection: Connection, request: SessionRequest) {
          if (!(yield* mayOpen(request))) {
            refuseAccess(connection)
            return undefined
          }
          const key = { libraryId: request.grant.libraryId, streamId: request.documentId }
          const room = yield* rooms.get(key)
          if (!(yield* isServed(room))) {
            refuseMissing(connection)
            return undefined
          }
          yield* awaitReturning(room, request)
          return yield* openSession(services, room, connection, request)
        })
        return SecsyncSessions.of({ open })
      })
    )
}
