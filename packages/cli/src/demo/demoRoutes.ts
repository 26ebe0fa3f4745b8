/**
 * The page of `serve --dev` asks these routes for the events of its document, and for deeds of an operator. Each
 * calls the function behind the command of the same name. Everybody who reaches a server in dev mode may call them.
 */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { evict, replay, Signatures } from "@sealog/server/admin"
import { DocumentId, EventLog, LibraryId, type StreamKey } from "@sealog/server/ports"
import * as Effect from "effect/Effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { shownEvent } from "./shownEvent.ts"
import { tamper } from "./tamper.ts"

/** The library of the page and of the token that `serve --dev` prints. */
export const DEMO_LIBRARY = LibraryId.make("playground")

/** How often the log is looked at while a page shows it. */
const LOOK = "150 millis"
/** Looks without an event until a comment is sent, so that a page which is gone is noticed. */
const QUIET_LOOKS = 60
const PAGE = 200

const decodeDocument = Schema.decodeUnknownOption(DocumentId)

/** Answers with 400 if `?document=` is no document's id, and with 503 after a failure. */
const withDocument = <E extends Error, R>(
  answer: (documentId: DocumentId) => Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
) =>
  Effect.gen(function* () {
    const { url } = yield* HttpServerRequest.HttpServerRequest
    const documentId = decodeDocument(new URL(url, "http://localhost").searchParams.get("document"))
    if (Option.isNone(documentId)) return HttpServerResponse.text("?document= is missing or no id.", { status: 400 })
    return yield* Effect.catch(answer(documentId.value), ({ message }) =>
      Effect.succeed(HttpServerResponse.text(message, { status: 503 }))
    )
  })

/** Server-sent events: each event of the document, from the one after `Last-Event-ID`. */
const events = withDocument(
  Effect.fnUntraced(function* (documentId) {
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    const log = yield* EventLog
    const key: StreamKey = { libraryId: DEMO_LIBRARY, streamId: documentId }
    let version = Number(headers["last-event-id"] ?? 0) || 0
    let looks = 0
    const next = Effect.gen(function* () {
      while (true) {
        const page = yield* log.read(key, { after: version, limit: PAGE })
        version = page.at(-1)?.event.version ?? version
        if (page.length > 0) return page.map((placed) => sent(shownEvent(placed))).join("")
        looks += 1
        if (looks % QUIET_LOOKS === 0) return ":\n\n"
        yield* Effect.sleep(LOOK)
      }
    })
    const texts = Stream.concat(Stream.succeed("retry: 1000\n\n"), Stream.fromEffectRepeat(next))
    return HttpServerResponse.stream(Stream.encodeText(texts), {
      contentType: "text/event-stream",
      headers: { "cache-control": "no-store" }
    })
  })
)

const sent = (event: { readonly version: number }): string => `id: ${event.version}\ndata: ${JSON.stringify(event)}\n\n`

const evictDocument = withDocument((documentId) =>
  Effect.map(evict({ libraryId: DEMO_LIBRARY, documentId }), (evicted) => HttpServerResponse.jsonUnsafe(evicted))
)

const verify = withDocument((documentId) =>
  replay({ libraryId: DEMO_LIBRARY, documentId }).pipe(
    Effect.provide(Signatures.layerInline),
    Effect.map((report) => HttpServerResponse.jsonUnsafe(report))
  )
)

/** Answers with null if there is nothing to tamper with. */
const tamperWithCopy = withDocument((documentId) =>
  tamper({ libraryId: DEMO_LIBRARY, documentId }).pipe(
    Effect.provide(Signatures.layerInline),
    Effect.map((found) => HttpServerResponse.jsonUnsafe(found ?? null))
  )
)

/** `restart`: stops the server and starts it again. It is called once the client has its answer. */
export const demoRoutes = (restart: () => void) =>
  Layer.mergeAll(
    HttpRouter.add("GET", "/demo/events", events),
    HttpRouter.add("POST", "/demo/evict", evictDocument),
    HttpRouter.add("POST", "/demo/verify", verify),
    HttpRouter.add("POST", "/demo/tamper", tamperWithCopy),
    HttpRouter.add(
      "POST",
      "/demo/restart",
      Effect.map(HttpServerRequest.HttpServerRequest, (request) => {
        NodeHttpServerRequest.toServerResponse(request).once("finish", restart)
        return HttpServerResponse.empty({ status: 202 })
      })
    )
  )
