/**
 * Verdant over HTTP: a client that polls sends its messages in a request, and has the answers in the response. When it is
 * not answered within three seconds it never polls again, so it is answered before that with what there is. It sends
 * again what was not acknowledged; what is being stored by then is stored all the same.
 */
import { randomBytes } from "node:crypto"
import { ByteSize, Effect, Fiber, FiberSet, Layer, Option, Schema } from "effect"
import { HttpIncomingMessage, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import type { StorageUnavailable } from "../../ports/EventLog.ts"
import { CloseCode } from "../../protocols/Connection.ts"
import { hasFewValues } from "../../protocols/JsonBudget.ts"
import { VERDANT_PATH } from "../../protocols/verdant/ConnectionUrl.ts"
import type { Message } from "../../protocols/verdant/Message.ts"
import { VerdantSessions } from "../../protocols/verdant/Sessions.ts"
import { decodeMessage, MAX_VALUES } from "../../protocols/verdant/Wire.ts"
import type { SocketLimits } from "../Limits.ts"
import type { MemoryBudget } from "../MemoryBudget.ts"
import { admitRequest } from "./Authentication.ts"
import { Code, HttpRefusal } from "./HttpRefusal.ts"
import { answering } from "./VerdantResponse.ts"

/** What the server takes of a client's three seconds; not the time in which the request arrives. */
const PATIENCE_MILLIS = 2000
/** After this process stood still it first hears what came meanwhile. The client's clock did not stop. */
const LAST_LOOK = "250 millis"

/** Of one request; clients send a few. They are decoded at once, and a body has room for millions of nothing. */
const MAX_MESSAGES = 10_000
/** Characters of answers to one request after which no more of its messages are handled: each may be a whole library. */
const MAX_ANSWERS = 64 * 1024 * 1024

type Run = <A>(
  effect: Effect.Effect<A, StorageUnavailable | HttpRefusal>
) => Fiber.Fiber<A, StorageUnavailable | HttpRefusal>

/** Messages of one request, handled one after the other; the answers come in that order. */
const exchange = Effect.fnUntraced(function* (run: Run, largeMessages: MemoryBudget) {
  const request = yield* HttpServerRequest.HttpServerRequest
  const begun = performance.now()
  const admitted = yield* within(PATIENCE_MILLIS, admitRequest(request.headers))
  if (Option.isNone(admitted)) return yield* new HttpRefusal({ code: Code.unavailable })
  const patience = Math.max(0, PATIENCE_MILLIS - (performance.now() - begun))
  const { grant } = admitted.value
  // It reaches some documents, and not all of the library.
  if (grant.documents !== undefined) return yield* new HttpRefusal({ code: Code.forbidden })
  const body = yield* Effect.mapError(request.text, () => new HttpRefusal({ code: Code.bodyRequired }))
  const sessions = yield* VerdantSessions
  const answers: Array<Message> = []
  let length = 0
  let failure: number | undefined
  let isAnswered = false
  const client = {
    id: randomBytes(12).toString("base64url"),
    isRealtime: false,
    send: (message: Message) => {
      answers.push(message)
      length += message.length
    },
    sendVolatile: () => {},
    close: (code: number) => {
      failure = code === CloseCode.tryAgainLater ? Code.unavailable : Code.invalidRequest
    },
    isSentAway: () => isAnswered || failure !== undefined || length > MAX_ANSWERS
  }
  const handling = Effect.gen(function* () {
    // It may have had to wait.
    if (isAnswered) return
    const messages = yield* messagesOf(body)
    const session = yield* sessions.open(client, grant)
    yield* session.receive(messages.map((message) => decodeMessage(message, grant.userId)))
  })
  const fiber = run(largeMessages.handle(body.length, Effect.scoped(handling)))
  yield* within(patience, Fiber.join(fiber)).pipe(
    Effect.onInterrupt(() => Fiber.interrupt(fiber)),
    Effect.ensuring(
      Effect.sync(() => {
        isAnswered = true
      })
    )
  )
  if (failure !== undefined) return yield* new HttpRefusal({ code: failure })
  const text = `{"messages":[${answers.map(({ text }) => text).join()}]}`
  return HttpServerResponse.text(text, { contentType: "application/json" })
}, Effect.scoped)

const within = <A, E, R>(millis: number, effect: Effect.Effect<A, E, R>): Effect.Effect<Option.Option<A>, E, R> =>
  Effect.raceFirst(
    Effect.asSome(effect),
    Effect.sleep(millis).pipe(Effect.andThen(Effect.sleep(LAST_LOOK)), Effect.as(Option.none()))
  )

const decodeBody = Schema.decodeUnknownEffect(
  Schema.fromJsonString(Schema.Struct({ messages: Schema.Array(Schema.Unknown) }))
)

const messagesOf = Effect.fnUntraced(function* (body: string) {
  if (!hasFewValues(body, MAX_VALUES)) return yield* new HttpRefusal({ code: Code.invalidRequest })
  const { messages } = yield* Effect.mapError(decodeBody(body), () => new HttpRefusal({ code: Code.bodyRequired }))
  return messages.length > MAX_MESSAGES ? yield* new HttpRefusal({ code: Code.invalidRequest }) : messages
})

export const VerdantRoutes = (limits: SocketLimits, largeMessages: MemoryBudget) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const edge = answering({ allowsOrigin: () => true })
      const bounded = Effect.provideService(
        exchange(yield* FiberSet.makeRuntime<never>(), largeMessages),
        HttpIncomingMessage.MaxBodySize,
        ByteSize.bytes(limits.maxFrameBytes)
      )
      return Layer.mergeAll(
        HttpRouter.add("POST", VERDANT_PATH, edge(bounded)),
        HttpRouter.add("OPTIONS", VERDANT_PATH, edge(Effect.never))
      )
    })
  )
