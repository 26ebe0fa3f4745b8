/** The server's side of the group `documents` of `AdminApi`. */
import { Effect, type Schema } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { EventLog, type StreamSummary } from "../../ports/EventLog.ts"
import { Quotas } from "../../rooms/Quotas.ts"
import { type Creation, createDocument } from "../Creation.ts"
import { endingsOf, showDocument } from "../Inspect.ts"
import { documentBytesIn } from "../LibraryQuota.ts"
import { AdminApi } from "./AdminApi.ts"
import { noteDone } from "./deeds.ts"
import { knownLibrary, noSuchDocument, orUnavailable } from "./failures.ts"
import { fullPage, PAGE } from "./pages.ts"

export const documentHandlers = HttpApiBuilder.group(
  AdminApi,
  "documents",
  Effect.fnUntraced(function* (handlers) {
    const { byDefault } = yield* Quotas
    return handlers.handleAll({
      list: Effect.fnUntraced(function* ({ params: { libraryId }, query: { after, limit = PAGE } }) {
        yield* knownLibrary(libraryId)
        const page = yield* EventLog.use((log) =>
          fullPage(
            limit,
            (limit, last: string | undefined = after) =>
              log.streams({ libraryId, limit, ...(last !== undefined && { after: { libraryId, streamId: last } }) }),
            ({ key }) => key.streamId
          ).pipe(orUnavailable)
        )
        const documentBytes = yield* orUnavailable(documentBytesIn(libraryId, byDefault))
        const endingOf = yield* orUnavailable(endingsOf(page))
        return page.map((stream) => ({
          ...summaryOf(stream),
          ...endingOf(stream),
          documentBytes: documentBytes(stream)
        }))
      }),
      create: Effect.fnUntraced(function* ({ params: { libraryId }, payload: { documentId, newLibrary } }) {
        if (newLibrary !== true) yield* knownLibrary(libraryId)
        const outcome: Creation = yield* orUnavailable(createDocument(libraryId, documentId))
        if (outcome === "created") yield* noteDone("document created", { libraryId, documentId })
        return { outcome }
      }),
      show: Effect.fnUntraced(function* ({ params: { documentId, libraryId } }) {
        yield* knownLibrary(libraryId)
        const found = yield* orUnavailable(showDocument(libraryId, documentId))
        if (found === undefined) return yield* noSuchDocument(libraryId, documentId)
        const { activeSnapshotId = null, chain, clocks, evictedSnapshotId = null, updates } = found
        const documentBytes = (yield* orUnavailable(documentBytesIn(libraryId, byDefault)))(found)
        const ending = (yield* orUnavailable(endingsOf([found])))(found)
        const state = { chain, activeSnapshotId, updates, clocks, evictedSnapshotId }
        return { ...summaryOf(found), ...ending, documentBytes, ...state }
      }),
      events: Effect.fnUntraced(function* ({ params: { documentId, libraryId }, query: { after = 0, limit = PAGE } }) {
        const page = yield* EventLog.use((log) =>
          orUnavailable(log.read({ libraryId, streamId: documentId }, { after, limit, payloads: false }))
        )
        if (page.length === 0 && after === 0) return yield* noSuchDocument(libraryId, documentId)
        return page.map(({ event: { chain, data, origin, payloadHash, recordedAt, type, version } }) => ({
          ...{ version, type, origin, recordedAt, payloadHash, chain },
          payloadBytes: storedBytesOf(data),
          data: data as Schema.Json
        }))
      })
    })
  })
)

const summaryOf = (stream: StreamSummary) => {
  const { createdAt, generation, key, payloadBytes, payloads, updatedAt, version } = stream
  return { documentId: key.streamId, version, generation, payloads, payloadBytes, createdAt, updatedAt }
}

/** The size that an event's data notes. The data of a damaged event may be any JSON. */
const storedBytesOf = (data: object | null): number | null =>
  data !== null && "payloadBytes" in data && Number.isSafeInteger(data.payloadBytes)
    ? (data.payloadBytes as number)
    : null
