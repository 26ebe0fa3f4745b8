/** Verdant over HTTP: a client that polls sends its messages in a request, and has the answers in the response. */
import { randomBytes } from "node:crypto"
import { ByteSize, Effect, Layer } from "effect"
import { HttpIncomingMessage, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Access } from "../Access.ts"
import { Administration } from "../Administration.ts"
import type { Message } from "../protocols/verdant/Message.ts"
import { VerdantSessions } from "../protocols/verdant/Sessions.ts"
import { decodeMessage } from "../protocols/verdant/Wire.ts"
import type { SocketLimits } from "./Sockets.ts"
import { admitVerdant, tokenOf, VERDANT_PATH } from "./VerdantGate.ts"

/** Verdant's error codes: the HTTP status, and a digit. */
export const ErrorCode = {
  bodyRequired: 4001,
  invalidRequest: 4000,
  noToken: 4010,
  invalidToken: 4011,
  tokenExpired: 4012,
  forbidden: 4030,
  notFound: 4040,
  tooLarge: 4130,
  unsupportedType: 4150,
  unavailable: 5030
} as const

export const errorResponse = (code: number) =>
  HttpServerResponse.jsonUnsafe({ code }, { status: Math.floor(code / 10) })

/** A client lets itself be answered across origins with credentials: its origin is named, never all of them. */
export const withCors = <E, R>(handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
  Effect.gen(function* () {
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    const response = yield* handler
    const origin = headers["origin"]
    if (origin === undefined) return response
    return HttpServerResponse.setHeaders(response, {
      "access-control-allow-origin": origin,
      "access-control-allow-credentials": "true",
      "access-control-allow-headers": "Authorization, Content-Type",
      "access-control-allow-methods": "GET, HEAD, POST, OPTIONS",
      "access-control-max-age": "600",
      vary: "Origin"
    })
  })

const preflight = withCors(Effect.succeed(HttpServerResponse.empty({ status: 204 })))

/** The bearer of the request's token; an error response when there is none, or it is not let in. */
export const admitted = Effect.gen(function* () {
  const { headers, url } = yield* HttpServerRequest.HttpServerRequest
  const token = tokenOf({ headers, url })
  if (token === "") {
    const code = headers["authorization"] === undefined ? ErrorCode.noToken : ErrorCode.invalidToken
    return yield* Effect.fail(errorResponse(code))
  }
  return yield* admitVerdant(yield* Access, yield* Administration, token).pipe(
    Effect.catchTags({
      TokenRefused: ({ reason }) =>
        Effect.fail(errorResponse(reason === "expired" ? ErrorCode.tokenExpired : ErrorCode.invalidToken)),
      GrantEnded: ({ reason }) =>
        Effect.fail(errorResponse(reason === "suspended" ? ErrorCode.unavailable : ErrorCode.invalidToken)),
      StorageUnavailable: () => Effect.fail(errorResponse(ErrorCode.unavailable))
    })
  )
})

/** Messages of one request, handled one after the other; the answers come in that order. */
const exchange = Effect.gen(function* () {
  const grant = yield* admitted
  const request = yield* HttpServerRequest.HttpServerRequest
  const body = yield* request.json.pipe(Effect.mapError(() => errorResponse(ErrorCode.bodyRequired)))
  const messages = messagesOf(body)
  if (!Array.isArray(messages)) return errorResponse(ErrorCode.bodyRequired)
  const sessions = yield* VerdantSessions
  const answers: Array<Message> = []
  let failure: number | undefined
  const client = {
    id: randomBytes(12).toString("base64url"),
    isRealtime: false,
    send: (message: Message) => void answers.push(message),
    sendVolatile: () => {},
    close: (code: number) => {
      failure = code === 1013 ? ErrorCode.unavailable : ErrorCode.invalidRequest
    },
    isSentAway: () => failure !== undefined
  }
  const session = yield* sessions
    .open(client, grant)
    .pipe(Effect.catchTag("StorageUnavailable", () => Effect.fail(errorResponse(ErrorCode.unavailable))))
  yield* session.receive(messages.map((message) => decodeMessage(message, grant.userId)))
  if (failure !== undefined) return errorResponse(failure)
  const text = `{"messages":[${answers.map(({ text }) => text).join()}]}`
  return HttpServerResponse.text(text, { contentType: "application/json" })
}).pipe(
  Effect.scoped,
  Effect.catch((response) => Effect.succeed(response))
)

const messagesOf = (body: unknown): unknown =>
  typeof body === "object" && body !== null && "messages" in body ? body.messages : undefined

export const VerdantRoutes = (limits: SocketLimits) =>
  Layer.mergeAll(
    HttpRouter.add("OPTIONS", VERDANT_PATH, preflight),
    HttpRouter.add(
      "POST",
      VERDANT_PATH,
      withCors(Effect.provideService(exchange, HttpIncomingMessage.MaxBodySize, ByteSize.bytes(limits.maxFrameBytes)))
    )
  )
