/** Opens sessions of Verdant clients, and keeps their libraries: writes down how far replicas are, folds, sweeps files. */
import { Cache, Clock, Context, Duration, Effect, FiberSet, Layer, Option, type Scope } from "effect"
import type { FileId } from "../../domain/Ids.ts"
import { streamName } from "../../domain/Stream.ts"
import type { LibraryCommand } from "../../domain/verdant/Commands.ts"
import type { Grant } from "../../ports/Access.ts"
import { BlobKey, BlobStore } from "../../ports/BlobStore.ts"
import type { StorageUnavailable } from "../../ports/EventLog.ts"
import { Profiles } from "../../ports/Profiles.ts"
import type { Connection } from "../Connection.ts"
import type { ProtocolSession } from "../ProtocolSession.ts"
import { type LibraryRoom, LibraryRooms, libraryKey } from "./Rooms.ts"
import { type Client, openSession, type Services, type Session } from "./Session.ts"
import { openSocketSession } from "./SocketSession.ts"

export interface VerdantOptions {
  /** A replica that was not heard of for so long holds nobody up, and begins anew when it comes back. Default: 7 days. */
  readonly replicaTruancy?: Duration.Input
  /**
   * How long what replicas said of themselves may stay in memory, and how long a promise to send nothing older has to be
   * kept before it is relied on. More than the time that clients gather changes for before they send them. Default: 1 s.
   */
  readonly cursorInterval?: Duration.Input
  /** Operations that gather before a library is folded; a large one gathers half as many as it has objects. Default: 1,000. */
  readonly foldAfter?: number
  /** How long a user who polls is shown as present after the last poll. Default: 45 s, three of Verdant's intervals. */
  readonly presenceTtl?: Duration.Input
  /** How long a file that nothing refers to is kept: it may be undone, or uploaded before what refers to it. Default: 14 days. */
  readonly keepFiles?: Duration.Input
}

/** How often it is looked which files of an open library nothing refers to any more. */
const SWEEP_MILLIS = 3_600_000
const PROFILE_TTL = "1 minute"
const MAX_PROFILES = 10_000
const UPKEEP = "@upkeep"

export class VerdantSessions extends Context.Service<
  VerdantSessions,
  {
    /** A client's session, until the scope closes. */
    readonly open: (client: Client, grant: Grant) => Effect.Effect<Session, StorageUnavailable, Scope.Scope>
    /** The session of a client on a WebSocket, until the scope closes. */
    readonly openSocket: (
      connection: Connection,
      grant: Grant
    ) => Effect.Effect<ProtocolSession, StorageUnavailable, Scope.Scope>
  }
>()("@sealog/server/VerdantSessions") {
  static readonly layer = (options: VerdantOptions = {}) =>
    Layer.effect(
      VerdantSessions,
      Effect.gen(function* () {
        const rooms = yield* LibraryRooms
        const clock = yield* Clock.Clock
        const profiles = yield* Profiles
        const truancy = Duration.toMillis(options.replicaTruancy ?? "7 days")
        const interval = Duration.fromInputUnsafe(options.cursorInterval ?? "1 second")
        const keepFiles = Duration.toMillis(options.keepFiles ?? "14 days")
        const blobs = yield* Effect.serviceOption(BlobStore)
        const foldAfter = options.foldAfter ?? 1000
        const cache = yield* Cache.make({ capacity: MAX_PROFILES, timeToLive: PROFILE_TTL, lookup: profiles.get })
        const touched = new Map<string, LibraryRoom>()
        const services: Services = {
          now: () => clock.currentTimeMillisUnsafe(),
          truancy,
          presenceTtl: Duration.toMillis(options.presenceTtl ?? "45 seconds"),
          profileOf: (userId) => Cache.get(cache, userId),
          touch: (room) => void touched.set(streamName(room.key), room),
          run: yield* FiberSet.makeRuntime<never>()
        }

        const keep = (room: LibraryRoom): void => {
          const { cursors, presence } = room.local
          presence.tick()
          const circumstances = { now: services.now(), truancy, cursors }
          const submit = (command: LibraryCommand) => room.submit(command, UPKEEP, () => {})
          cursors.ripen()
          if (cursors.takeChanged()) submit({ _tag: "AdvanceCursors", ...circumstances })
          const { baselines, operations, watermark } = room.state()
          if (operations >= Math.max(foldAfter, baselines / 2) && room.local.foldTriedAt !== watermark) {
            room.local.foldTriedAt = watermark
            submit({ _tag: "Fold", ...circumstances })
          }
        }
        const sweep = (room: LibraryRoom): void => {
          const now = services.now()
          const { files } = room.state()
          if (files.size === 0 || now - room.local.sweptAt < SWEEP_MILLIS) return
          room.local.sweptAt = now
          room.submit({ _tag: "SweepFiles", now, keep: keepFiles }, UPKEEP, (outcome) => {
            if (outcome._tag !== "Stored" || Option.isNone(blobs)) return
            // The record went first: cut off here, the bytes are nobody's, and go with the next sweep of the store.
            const { deleted } = outcome.event.data as { readonly deleted: ReadonlyArray<FileId> }
            for (const fileId of deleted) {
              const file = files.get(fileId)
              if (file !== undefined) services.run(Effect.ignore(blobs.value.delete(BlobKey.make(file.blob))))
            }
          })
        }
        const upkeep = Effect.sync(() => {
          const all = Array.from(touched)
          for (const [name, room] of all) {
            keep(room)
            sweep(room)
            // Promises ripen in two steps, and who polls goes without a word.
            const isDone = !room.local.cursors.hasUnripe() && !room.local.presence.isNeeded()
            if (isDone) touched.delete(name)
          }
        })
        yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(interval), upkeep)))

        const open = Effect.fnUntraced(function* (client: Client, grant: Grant) {
          const room = yield* rooms.get(libraryKey(grant.libraryId))
          return yield* openSession(services, room, client, grant)
        })
        return VerdantSessions.of({
          open,
          openSocket: (connection, grant) => openSocketSession(open, connection, grant)
        })
      })
    )
}
