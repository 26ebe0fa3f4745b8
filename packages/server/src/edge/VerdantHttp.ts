/** Verdant over HTTP: a client that polls sends its messages in a request, and has the answers in the response. */
import { randomBytes } from "node:crypto"
import { ByteSize, Effect, Layer } from "effect"
import { HttpIncomingMessage, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { CloseCode } from "../protocols/Connection.ts"
import type { Message } from "../protocols/verdant/Message.ts"
import { VerdantSessions } from "../protocols/verdant/Sessions.ts"
import { decodeMessage } from "../protocols/verdant/Wire.ts"
import { admitRequest } from "./Admission.ts"
import { answering } from "./answering.ts"
import { Code, Refused } from "./Refused.ts"
import type { SocketLimits } from "./Sockets.ts"
import { VERDANT_PATH } from "./VerdantGate.ts"

/** Messages of one request, handled one after the other; the answers come in that order. */
const exchange = Effect.gen(function* () {
  const request = yield* HttpServerRequest.HttpServerRequest
  const { grant } = yield* admitRequest(request.headers)
  // It reaches some documents, and not all of the library.
  if (grant.documents !== undefined) return yield* new Refused({ code: Code.forbidden })
  const body = yield* Effect.mapError(request.json, () => new Refused({ code: Code.bodyRequired }))
  const messages = messagesOf(body)
  if (!Array.isArray(messages)) return yield* new Refused({ code: Code.bodyRequired })
  const sessions = yield* VerdantSessions
  const answers: Array<Message> = []
  let failure: number | undefined
  const client = {
    id: randomBytes(12).toString("base64url"),
    isRealtime: false,
    send: (message: Message) => void answers.push(message),
    sendVolatile: () => {},
    close: (code: number) => {
      failure = code === CloseCode.tryAgainLater ? Code.unavailable : Code.invalidRequest
    },
    isSentAway: () => failure !== undefined
  }
  const session = yield* sessions.open(client, grant)
  yield* session.receive(messages.map((message) => decodeMessage(message, grant.userId)))
  if (failure !== undefined) return yield* new Refused({ code: failure })
  const text = `{"messages":[${answers.map(({ text }) => text).join()}]}`
  return HttpServerResponse.text(text, { contentType: "application/json" })
}).pipe(Effect.scoped)

const messagesOf = (body: unknown): unknown =>
  typeof body === "object" && body !== null && "messages" in body ? body.messages : undefined

export const VerdantRoutes = (limits: SocketLimits) => {
  const edge = answering({ allowsOrigin: () => true })
  const bounded = Effect.provideService(exchange, HttpIncomingMessage.MaxBodySize, ByteSize.bytes(limits.maxFrameBytes))
  return Layer.mergeAll(
    HttpRouter.add("POST", VERDANT_PATH, edge(bounded)),
    HttpRouter.add("OPTIONS", VERDANT_PATH, edge(Effect.never))
  )
}
