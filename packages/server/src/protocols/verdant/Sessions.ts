/** Opens sessions of Verdant clients, and maintains the libraries that they use. */
import { Clock, Context, Duration, Effect, FiberSet, Layer, type Scope } from "effect"
import { makeFrameLog } from "../../internal/FrameLog.ts"
import { SharedBytes } from "../../internal/SharedBytes.ts"
import * as Metrics from "../../metrics/Metrics.ts"
import type { Grant } from "../../ports/Access.ts"
import { BlobStore } from "../../ports/BlobStore.ts"
import type { StorageUnavailable } from "../../ports/EventLog.ts"
import { AccessControl, type AccessUndecided } from "../../rooms/AccessControl.ts"
import { CurrentFrameTraces } from "../../rooms/FrameTraces.ts"
import type { Connection } from "../Connection.ts"
import { MANY_BYTES_IN_FLIGHT } from "../InFlight.ts"
import type { ProtocolSession } from "../ProtocolSession.ts"
import type { Client } from "./Client.ts"
import { makeMaintenance } from "./Maintenance.ts"
import { PollRefusals } from "./PollRefusals.ts"
import { makeProfileCache } from "./ProfileCache.ts"
import { REFUSAL_LIMITS, refuseLibrary } from "./Refusals.ts"
import { LibraryRooms, libraryKey } from "./Rooms.ts"
import { openSession, type Services, type Session } from "./Session.ts"
import { clientOf, openSocketSession } from "./SocketSession.ts"

export interface VerdantOptions {
  /** A replica that was not heard of for longer is truant: the server does not wait for it and resets it. Default: 7 days. */
  readonly replicaTruancy?: Duration.Input
  /**
   * How long the replicas' progress may stay in memory before it is recorded, and how long a promise to send nothing older
   * must hold before it is relied on. Longer than clients gather changes before they send them. Default: 1 second.
   */
  readonly cursorInterval?: Duration.Input
  /**
   * Number of operations after which a library is compacted; one with many objects waits for half as many operations as it
   * has objects. Default: 1,000.
   */
  readonly foldAfter?: number
  /** How long a polling user counts as present after a poll. Default: 45 seconds, three of Verdant's intervals. */
  readonly presenceTtl?: Duration.Input
  /**
   * How long a file without references is kept: the removal of a reference may be undone, and a file may be uploaded before
   * its reference. Default: 14 days.
   */
  readonly keepFiles?: Duration.Input
}

export class VerdantSessions extends Context.Service<
  VerdantSessions,
  {
    /** A client's session, until the scope closes. */
    readonly open: (client: Client, grant: Grant) => Effect.Effect<Session, StorageUnavailable, Scope.Scope>
    /**
     * The session of a client on a WebSocket, until the scope closes. If the access policy does not let the client receive
     * what others do, refuses and closes the connection and returns undefined.
     */
    readonly openSocket: (
      connection: Connection,
      grant: Grant
    ) => Effect.Effect<ProtocolSession | undefined, StorageUnavailable | AccessUndecided, Scope.Scope>
  }
>()("@sealog/server/VerdantSessions") {
  /** `replicaTruancy` is an option of `LibraryRooms`, which decide. */
  static readonly layer = (options: Omit<VerdantOptions, "replicaTruancy"> = {}) =>
    Layer.effect(
      VerdantSessions,
      Effect.gen(function* () {
        const rooms = yield* LibraryRooms
        const clock = yield* Clock.Clock
        const interval = Duration.fromInputUnsafe(options.cursorInterval ?? "1 second")
        const now = () => clock.currentTimeMillisUnsafe()
        const run = yield* FiberSet.makeRuntime<never>()
        const maintenance = makeMaintenance({
          now,
          run,
          compactAfter: options.foldAfter ?? 1000,
          keepFiles: Duration.toMillis(options.keepFiles ?? "14 days"),
          blobs: yield* Effect.serviceOption(BlobStore)
        })
        const inFlight = new SharedBytes(MANY_BYTES_IN_FLIGHT)
        yield* Metrics.showMemory("operations_in_flight", () => inFlight.held, inFlight.maxBytes)
        const services: Services = {
          ask: (yield* AccessControl).ask,
          now,
          run,
          presenceTtl: Duration.toMillis(options.presenceTtl ?? "45 seconds"),
          inFlight,
          pollRefusals: new PollRefusals(REFUSAL_LIMITS),
          profileOf: yield* makeProfileCache,
          touch: maintenance.touch,
          frames: yield* makeFrameLog,
          traces: yield* CurrentFrameTraces
        }
        const upkeep = Effect.andThen(Effect.sleep(interval), Effect.sync(maintenance.tick))
        yield* Effect.forkScoped(Effect.forever(upkeep))

        const open = Effect.fnUntraced(function* (client: Client, grant: Grant) {
          const room = yield* rooms.get(libraryKey(grant.libraryId))
          return yield* openSession(services, room, client, grant)
        })
        const openSocket = Effect.fnUntraced(function* (connection: Connection, grant: Grant) {
          const { ask } = services
          if (ask !== undefined && !(yield* ask(grant, { _tag: "Receive", documentId: undefined }))) {
            refuseLibrary(clientOf(connection))
            return undefined
          }
          return yield* openSocketSession(open, connection, grant)
        })
        return VerdantSessions.of({ open, openSocket })
      })
    )
}
