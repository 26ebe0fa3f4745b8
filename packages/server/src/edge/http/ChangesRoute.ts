/**
 * `GET /changes`: the changes of a library's Verdant data, or with `?document=` of a Secsync document, as server-sent events
 * (WHATWG HTML, section 9.2) for backends of the app. An event's id is its version, so a client that comes back with
 * `Last-Event-ID` goes on where it was.
 *
 * Changes are read from the log as the client takes them: a slow client holds one page in memory and delays no other.
 */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Cause, Deferred, Effect, Option, Schedule, Schema, Stream } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { messageText } from "../../domain/changes/ChangeMessage.ts"
import { DocumentId, decodeDocumentId, type LibraryId } from "../../domain/Ids.ts"
import { type StreamKey, streamName } from "../../domain/Stream.ts"
import { VERDANT } from "../../domain/verdant/Events.ts"
import { parseQuery } from "../../internal/parseQuery.ts"
import { withPatience } from "../../internal/timeouts.ts"
import * as Metrics from "../../metrics/Metrics.ts"
import { Access, type Grant, reachesDocument } from "../../ports/Access.ts"
import { EventLog, type StorageUnavailable } from "../../ports/EventLog.ts"
import { GrownStreams } from "../../protocols/changes/GrownStreams.ts"
import { readChanges } from "../../protocols/changes/readChanges.ts"
import type { SocketLimits } from "../Limits.ts"
import { makePlaces } from "../Places.ts"
import { type Admitted, admitClientOf } from "./Authentication.ts"
import { Code, HttpRefusal } from "./HttpRefusal.ts"
import { requireLastingAccess } from "./RequireAccess.ts"
import { CHANGES_PATH } from "./Route.ts"
import { everyOrigin, verdantResponse } from "./VerdantResponse.ts"

/** Time without a change until a comment is sent. Proxies end a response in which nothing moves, nginx after 60 seconds. */
const HEARTBEAT = "15 seconds"
/** A client that takes nothing for so long loses its connection, ms. */
const STALL_MILLIS = 60_000
/** Time for a client that is sent away to take what it was sent. */
const GRACE = "5 seconds"
/** A client waits so long before it comes back, ms. */
const RETRY_MILLIS = 2000
/** An unavailable storage is tried again, more and more slowly. */
const RETRIES = Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("2 seconds")])

export const makeChangesRoute = Effect.fnUntraced(function* ({
  maxChangeStreams,
  maxChangeStreamsPerLibrary
}: Pick<SocketLimits, "maxChangeStreams" | "maxChangeStreamsPerLibrary">) {
  const places = makePlaces(maxChangeStreamsPerLibrary)
  const closing = yield* Deferred.make<void>()
  let open = 0
  yield* Metrics.changeStreams.at({}).read(() => open)

  const takePlace = (libraryId: LibraryId) =>
    Effect.acquireRelease(
      Effect.suspend(() => {
        const isFull = open >= maxChangeStreams || Deferred.isDoneUnsafe(closing)
        const release = isFull ? undefined : places.take(libraryId)
        if (release === undefined) return Effect.fail(new HttpRefusal({ code: Code.unavailable }))
        open += 1
        return Effect.succeed(release)
      }),
      (release) =>
        Effect.sync(() => {
          open -= 1
          release()
        })
    )

  const respond = Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const query = queryOf(request.url)
    const documentId = yield* documentOf(query.get("document"))
    // A client that comes back repeats the URL, so its header is newer.
    const after = yield* versionOf(request.headers["last-event-id"] || query.get("after"))
    const admitted = yield* admitClientOf(documentId)
    yield* requireRight(admitted.grant, documentId)
    const ended = yield* endOf(admitted, documentId, Deferred.await(closing))
    yield* takePlace(admitted.grant.libraryId)
    const key = { libraryId: admitted.grant.libraryId, streamId: documentId ?? VERDANT }
    const changes = yield* followStream(key, after)
    yield* endStalled(NodeHttpServerRequest.toServerResponse(request), ended)
    const texts = Stream.concat(
      Stream.interruptWhen(changes, ended),
      Stream.fromEffect(Effect.map(ended, (code) => `event: end\ndata: {"code":${code}}\n\n`))
    )
    return HttpServerResponse.stream(Stream.encodeText(texts), {
      contentType: "text/event-stream",
      // nginx would keep the events back otherwise.
      headers: { "cache-control": "no-store", "x-accel-buffering": "no" }
    })
  })
  const isEmpty = Effect.repeat(Effect.sleep("5 millis"), { until: () => open === 0 })
  return {
    route: HttpRouter.add("GET", CHANGES_PATH, verdantResponse(everyOrigin)(respond)),
    /** Ends the responses, so that their clients come back to another server. */
    close: Effect.andThen(
      Deferred.succeed(closing, undefined),
      Effect.suspend(() => (open === 0 ? Effect.void : withPatience(isEmpty, "1 second")))
    )
  }
})

const queryOf = (url: string): URLSearchParams => {
  const start = url.indexOf("?")
  return parseQuery(start === -1 ? "" : url.slice(start))
}

const isDocumentId = Schema.is(DocumentId)

const documentOf = Effect.fnUntraced(function* (text: string | null) {
  if (text === null) return undefined
  const id = decodeDocumentId(text)
  return isDocumentId(id) ? id : yield* new HttpRefusal({ code: Code.notFound })
})

const versionOf = Effect.fnUntraced(function* (text: string | null) {
  if (text === null) return undefined
  return /^\d{1,15}$/.test(text) ? Number(text) : yield* new HttpRefusal({ code: Code.invalidRequest })
})

/** A token for some documents does not reach the library's Verdant data. */
const requireRight = (grant: Grant, documentId: DocumentId | undefined) => {
  const reaches = documentId === undefined ? grant.documents === undefined : reachesDocument(grant, documentId)
  return grant.changes === true && reaches ? Effect.void : Effect.fail(new HttpRefusal({ code: Code.forbidden }))
}

/** Completes with the reason for which the client is sent away: its token ended, its rights, or the server. */
const endOf = Effect.fnUntraced(function* (
  { ended, grant }: Admitted,
  documentId: DocumentId | undefined,
  closing: Effect.Effect<void>
) {
  const removed = yield* requireLastingAccess(grant, { _tag: "ReceiveChanges", documentId })
  const end = yield* Deferred.make<number>()
  const code = (refused: Effect.Effect<never, HttpRefusal>) =>
    Effect.map(Effect.flip(refused), (refusal) => refusal.code)
  const reasons = [
    code(ended),
    ...(removed === undefined ? [] : [code(removed)]),
    Effect.as((yield* Access).ended(grant), Code.tokenExpired),
    Effect.as(closing, Code.unavailable)
  ]
  yield* Effect.forkScoped(Effect.flatMap(Effect.raceAllFirst(reasons), (reason) => Deferred.succeed(end, reason)))
  return Deferred.await(end)
})

/** Ends the connection of a client that takes nothing: for a minute, or when it is sent away. */
const endStalled = Effect.fnUntraced(function* (
  response: ReturnType<typeof NodeHttpServerRequest.toServerResponse>,
  ended: Effect.Effect<unknown>
) {
  const cut = () => {
    Metrics.responsesCut.at({ cause: "stalled" }).add()
    response.destroy()
  }
  response.setTimeout(STALL_MILLIS, cut)
  yield* Effect.forkScoped(Effect.andThen(ended, Effect.andThen(Effect.sleep(GRACE), Effect.sync(cut))))
})

/**
 * The texts of a stream's changes after a version, or from now on, without an end. Fails with 4090 if the stream does not have the
 * version: the log was restored from a backup, and the client knows changes that this log does not.
 */
const followStream = Effect.fnUntraced(function* (key: StreamKey, after: number | undefined) {
  const log = yield* EventLog
  // Listens before it reads, so that no change falls between the two.
  const grown = yield* (yield* GrownStreams).listen(
    (other) => other.streamId === key.streamId && other.libraryId === key.libraryId
  )
  const [head] = yield* log.heads([key])
  const known = head?.version ?? 0
  if (after !== undefined && after > known) return yield* new HttpRefusal({ code: Code.versionAhead })
  let version = after ?? known
  let isAtEnd = false
  const page = Effect.gen(function* () {
    const read = yield* patiently(readChanges(log, key, version))
    version = read.version
    isAtEnd = read.isLast
    return read.changes.map((change) => `id: ${change.version}\ndata: ${messageText(change)}\n\n`).join("")
  }).pipe(
    Effect.catchDefect((defect) => {
      // Tried again at the stream's next change.
      isAtEnd = true
      return Effect.as(Effect.logError(`Reading the changes of ${streamName(key)} failed`, Cause.die(defect)), "")
    })
  )
  const next: Effect.Effect<string> = Effect.gen(function* () {
    while (true) {
      if (isAtEnd) {
        const heard = yield* Effect.timeoutOption(grown.take, HEARTBEAT)
        if (Option.isNone(heard)) return ":\n\n"
      }
      const text = yield* page
      if (text !== "") return text
    }
  })
  // The id alone is no event. A client that loses its connection before the first change comes back with it.
  const first = `retry: ${RETRY_MILLIS}\nid: ${version}\n\n`
  return Stream.concat(Stream.succeed(first), Stream.fromEffectRepeat(next))
})

const patiently = <A>(effect: Effect.Effect<A, StorageUnavailable>): Effect.Effect<A> =>
  effect.pipe(
    Effect.tapError((error) => Effect.logWarning(`Changes for a backend are delayed: ${error.message}`)),
    Effect.retry(RETRIES),
    Effect.orDie
  )
