/** The server's side of the group `server` of `AdminApi`. */
import { Effect, Queue, Stream } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { PrometheusMetrics } from "effect/observability"
import type { DocumentId, LibraryId } from "../../domain/Ids.ts"
import { Connections, isNamed } from "../../ports/Connections.ts"
import type { EventLog, StorageUnavailable } from "../../ports/EventLog.ts"
import { Signals } from "../../ports/Signals.ts"
import { CurrentWorkers } from "../../ports/Workers.ts"
import { eachEvent, type LoggedEvent } from "../Events.ts"
import { prune } from "../Pruning.ts"
import { revocations, revoke } from "../Revocation.ts"
import { statistics } from "../Statistics.ts"
import { AdminApi } from "./AdminApi.ts"
import { attributionOf, noteDone } from "./deeds.ts"
import { knownLibrary, knownTarget, orUnavailable } from "./failures.ts"
import { asJson, PAGE } from "./pages.ts"

/** Events without `last` or `after`. */
const LAST = 50
/** The time between two looks for events of this process. */
const LOOK = "1 second"

export interface ServerHandlersOptions {
  /** The size of the log on disk, in bytes. Default: the API answers that it does not know it. */
  readonly diskBytes?: Effect.Effect<number, StorageUnavailable>
}

export const serverHandlers = ({ diskBytes }: ServerHandlersOptions) =>
  HttpApiBuilder.group(AdminApi, "server", (handlers) =>
    handlers.handleAll({
      statistics: Effect.fnUntraced(function* ({ query: { libraryId } }) {
        if (libraryId !== undefined) yield* knownLibrary(libraryId)
        const found = yield* orUnavailable(statistics(libraryId === undefined ? {} : { libraryId }))
        return { ...found, diskBytes: diskBytes === undefined ? null : yield* orUnavailable(diskBytes) }
      }),
      events: Effect.fnUntraced(function* ({ query: { after, follow, last = LAST, libraryId, streamId } }) {
        const scope = { libraryId: libraryId as LibraryId, ...(streamId !== undefined && { streamId }) }
        const documentId = streamId?.startsWith("@") ? undefined : (streamId as DocumentId | undefined)
        // The streams for all libraries, and those of the server's own, may have no event yet.
        if (!libraryId.startsWith("@")) yield* knownTarget({ libraryId: scope.libraryId, documentId })
        const from = after === undefined ? { last } : { after }
        const services = yield* Effect.context<EventLog | Signals>()
        const signals = yield* Signals
        // Signals name the streams that other processes write. The looks find the events of this process.
        const looks = Stream.map(Stream.tick(LOOK), () => "all" as const)
        const watching = { ...signals, wakeups: Stream.merge(signals.wakeups, looks) }
        return Stream.callback<LoggedEvent>(
          (queue) =>
            eachEvent(scope, { from, follow: follow === "true" }, (page) => Queue.offerAll(queue, page)).pipe(
              Effect.provideService(Signals, watching),
              Effect.provide(services),
              Effect.orDie,
              Effect.andThen(Queue.end(queue))
            ),
          { bufferSize: PAGE }
        ).pipe(Stream.map(asJson))
      }),
      prune: Effect.fnUntraced(function* ({ payload }) {
        const { documentId, libraryId } = payload
        if (libraryId !== undefined) yield* knownTarget({ libraryId, documentId })
        const pruned = yield* orUnavailable(prune(payload))
        if (payload.dryRun !== true) yield* noteDone("pruned", { libraryId, documents: pruned.length })
        return pruned
      }),
      revoke: Effect.fnUntraced(function* ({ payload: { whose, ...why } }) {
        const changed = yield* orUnavailable(revoke(whose, yield* attributionOf(why)))
        if (changed) yield* noteDone("revoked in every library", whose)
        return { changed }
      }),
      revocations: () => orUnavailable(revocations()),
      metrics: () => Effect.flatMap(CurrentWorkers, (workers) => workers?.metrics ?? PrometheusMetrics.format()),
      connections: Effect.fnUntraced(function* ({ query }) {
        const own = yield* Connections
        const all = yield* (yield* CurrentWorkers)?.connections ?? Effect.sync(own.list)
        return all
          .filter(isNamed(query))
          .map(({ documentId = null, tokenId = null, ...rest }) => ({ ...rest, documentId, tokenId }))
      }),
      disconnect: Effect.fnUntraced(function* ({ payload: { id, libraryId, userId } }) {
        const own = yield* Connections
        const named = { id, libraryId, userId }
        const workers = yield* CurrentWorkers
        const disconnected = yield* workers?.disconnect(named) ?? Effect.sync(() => own.disconnect(isNamed(named)))
        yield* noteDone("disconnected", { connections: disconnected, id, libraryId, userId })
        return { disconnected }
      })
    })
  )
