/**
 * `POST /verdant`: Verdant over HTTP. A polling client sends its messages in the request, and gets the answers in the
 * response. A client that waits for more than three seconds never polls again, so it is answered earlier, with the answers
 * that exist by then. It repeats messages that were not acknowledged; messages that are being stored are stored anyway.
 */
import { randomBytes } from "node:crypto"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { ByteSize, Effect, Fiber, FiberSet, Layer, Option, Schema, Stream } from "effect"
import { HttpIncomingMessage, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { isMemoryShort } from "../../internal/MemoryPressure.ts"
import * as Metrics from "../../metrics/Metrics.ts"
import type { Grant } from "../../ports/Access.ts"
import type { StorageUnavailable } from "../../ports/EventLog.ts"
import { CloseCode } from "../../protocols/Connection.ts"
import { piecesOf } from "../../protocols/Frame.ts"
import { VERDANT_PATH } from "../../protocols/verdant/ConnectionUrl.ts"
import type { Message } from "../../protocols/verdant/Message.ts"
import { VerdantSessions } from "../../protocols/verdant/Sessions.ts"
import { decodeMessage, tooMuchToParse } from "../../protocols/verdant/Wire.ts"
import { type Budgets, userOf } from "../Budgets.ts"
import type { SocketLimits } from "../Limits.ts"
import { admitClient } from "./Authentication.ts"
import { Code, HttpRefusal } from "./HttpRefusal.ts"
import { lengthOf, PollAnswers, roomForBody } from "./PollMemory.ts"
import { requireAccess } from "./RequireAccess.ts"
import { everyOrigin, verdantResponse } from "./VerdantResponse.ts"

/** The server's half of the client's three seconds: the rest is for a slow network, or a busy machine. */
const PATIENCE_MILLIS = 1500
/** Grace after a pause of this process, to take answers that arrived during it. Short: the client's clock did not stop. */
const GRACE = "250 millis"

/** Messages in one request. Clients send a few, but a body has room for millions of tiny ones, which are decoded at once. */
const MAX_MESSAGES = 10_000
/** Characters of answers after which no more of a request's messages are handled: an answer may be a whole library. */
const MAX_ANSWERS = 64 * 1024 * 1024

type Run = <A>(
  effect: Effect.Effect<A, StorageUnavailable | HttpRefusal>
) => Fiber.Fiber<A, StorageUnavailable | HttpRefusal>

/** The HTTP refusals for the codes that a session closes a connection with. At one below 500, the client polls no more for good. */
const refusals: Readonly<Record<CloseCode, number>> = {
  [CloseCode.goingAway]: Code.unavailable,
  [CloseCode.protocolError]: Code.invalidRequest,
  [CloseCode.lost]: Code.unavailable,
  [CloseCode.notUtf8OrJson]: Code.invalidRequest,
  [CloseCode.policy]: Code.invalidRequest,
  [CloseCode.tooLarge]: Code.tooLarge,
  [CloseCode.internalError]: Code.unexpected,
  [CloseCode.tryAgainLater]: Code.unavailable,
  [CloseCode.tokenRefused]: Code.tokenExpired,
  [CloseCode.forbidden]: Code.forbidden,
  [CloseCode.notFound]: Code.forbidden
}

/** Admits a client that may read the library. A grant for some documents does not cover it. */
const admit = Effect.gen(function* () {
  const admitted = yield* Effect.mapError(admitClient, askForAnotherToken)
  if (admitted.grant.documents !== undefined) return yield* new HttpRefusal({ code: Code.forbidden })
  yield* requireAccess(admitted.grant, { _tag: "Read", documentId: undefined })
  return admitted
})

/**
 * 4012 in place of 4011: the client drops its token then, and asks the app for another one. At 4011 it polls no more for good,
 * also when its token was revoked, or signed by a key that has been replaced.
 */
const askForAnotherToken = (refusal: HttpRefusal): HttpRefusal =>
  refusal.code === Code.invalidToken ? new HttpRefusal({ code: Code.tokenExpired }) : refusal

/** Handles the messages of one request one after the other, and responds with the answers in that order. */
const exchange = Effect.fnUntraced(function* (run: Run, budgets: Budgets, maxFrameBytes: number) {
  if (isMemoryShort()) return yield* new HttpRefusal({ code: Code.unavailable })
  const request = yield* HttpServerRequest.HttpServerRequest
  const start = performance.now()
  const admitted = yield* within(PATIENCE_MILLIS, admit)
  if (Option.isNone(admitted)) return yield* new HttpRefusal({ code: Code.unavailable })
  const patience = Math.max(0, PATIENCE_MILLIS - (performance.now() - start))
  const { grant } = admitted.value
  const user = userOf(grant)
  // A body without a length may be as large as any.
  const expected = Math.min(maxFrameBytes, Number(request.headers["content-length"] ?? maxFrameBytes))
  const room = roomForBody(budgets.receiveBudget, user, expected)
  // Messages that are being stored keep their room until after the response.
  let isHandling = false
  yield* Effect.addFinalizer(() => Effect.sync(() => (isHandling ? undefined : room.release())))
  if (Option.isNone(yield* within(patience, room.granted))) return yield* new HttpRefusal({ code: Code.unavailable })
  const body = yield* Effect.mapError(request.text, () => new HttpRefusal({ code: Code.bodyRequired }))
  const sessions = yield* VerdantSessions
  const answers: Array<Message> = []
  const counted = new PollAnswers(budgets.sendBudget, NodeHttpServerRequest.toServerResponse(request))
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
    hold: (piece: Uint8Array) => counted.hold(piece),
    close: (code: CloseCode) => {
      failure = refusals[code]
    },
    isSentAway: () => isAnswered || failure !== undefined || length > MAX_ANSWERS
  }
  const handling = Effect.gen(function* () {
    // It may have waited for its turn and the memory budget until after the response.
    if (isAnswered) return
    const messages = yield* messagesOf(body, grant)
    const session = yield* sessions.open(client, grant)
    yield* session.receive(messages)
  }).pipe(Effect.scoped)
  isHandling = true
  const fiber = run(
    budgets.userTurns
      .inTurn(user, body.length, budgets.memoryBudget.handle(body.length, handling))
      .pipe(Effect.ensuring(Effect.sync(() => room.release())))
  )
  yield* within(patience, Fiber.join(fiber)).pipe(
    Effect.onInterrupt(() => Fiber.interrupt(fiber)),
    Effect.ensuring(
      Effect.sync(() => {
        isAnswered = true
      })
    )
  )
  if (length > MAX_ANSWERS) Metrics.framesDelayed.at({ cause: "poll_answers" }).add()
  if (failure !== undefined) return yield* new HttpRefusal({ code: failure })
  const pieces = bodyOf(answers)
  counted.countUntilTaken(pieces)
  const [whole, ...rest] = pieces
  if (whole !== undefined && rest.length === 0) return HttpServerResponse.uint8Array(whole, { contentType: JSON_TYPE })
  // Piece by piece: to put a library into one piece takes long.
  return HttpServerResponse.stream(Stream.fromIterable(pieces, { chunkSize: 1 }), {
    ...{ contentType: JSON_TYPE, contentLength: lengthOf(pieces) }
  })
}, Effect.scoped)

const JSON_TYPE = "application/json"

const bodyOf = (answers: ReadonlyArray<Message>): ReadonlyArray<Uint8Array> => {
  const messages = answers.flatMap(({ parts }, i) => (i === 0 ? parts : [",", ...parts]))
  return piecesOf(['{"messages":[', ...messages, "]}"])
}

/** The effect's value; none when it takes longer. The effect is interrupted then. */
const within = <A, E, R>(millis: number, effect: Effect.Effect<A, E, R>): Effect.Effect<Option.Option<A>, E, R> =>
  Effect.raceFirst(
    Effect.asSome(effect),
    Effect.sleep(millis).pipe(Effect.andThen(Effect.sleep(GRACE)), Effect.as(Option.none()))
  )

const decodeBody = Schema.decodeUnknownEffect(
  Schema.fromJsonString(Schema.Struct({ messages: Schema.Array(Schema.Unknown) }))
)

const messagesOf = Effect.fnUntraced(function* (body: string, grant: Grant) {
  const tooMuch = tooMuchToParse(body, grant)
  if (tooMuch !== undefined)
    return yield* new HttpRefusal({ code: tooMuch === "ever" ? Code.invalidRequest : Code.unavailable })
  const { messages } = yield* Effect.mapError(decodeBody(body), () => new HttpRefusal({ code: Code.bodyRequired }))
  if (messages.length > MAX_MESSAGES) return yield* new HttpRefusal({ code: Code.invalidRequest })
  return messages.map((message) => decodeMessage(message, grant.userId))
})

export const VerdantPollRoute = (limits: SocketLimits, budgets: Budgets) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const edge = verdantResponse(everyOrigin)
      const bounded = Effect.provideService(
        exchange(yield* FiberSet.makeRuntime<never>(), budgets, limits.maxFrameBytes),
        HttpIncomingMessage.MaxBodySize,
        ByteSize.bytes(limits.maxFrameBytes)
      )
      return Layer.mergeAll(
        HttpRouter.add("POST", VERDANT_PATH, edge(bounded)),
        HttpRouter.add("OPTIONS", VERDANT_PATH, edge(Effect.never))
      )
    })
  )
