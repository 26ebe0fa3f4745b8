/** A bare connection of Verdant's protocol: says whatever it is told to, and keeps every message that comes. */
import { Deferred, Effect, type Scope } from "effect"
import { WebSocket } from "ws"
import type { Library } from "./Library.ts"
import type { Message } from "./Network.ts"

export interface RawVerdant {
  readonly messages: ReadonlyArray<Message>
  /** An object is sent as JSON, text as it is. */
  readonly send: (message: object | string) => void
  readonly sendBinary: (bytes: Uint8Array) => void
  /** The first message that fits and that no other call has returned. */
  readonly next: (type: string, fits?: (message: Message) => boolean) => Effect.Effect<Message>
  /** Done when the server has handled all that was sent so far: it answers heartbeats in their turn. */
  readonly settled: Effect.Effect<void>
  /** How the connection ended. */
  readonly closed: Effect.Effect<{ readonly code: number }>
  readonly isOpen: () => boolean
  readonly close: Effect.Effect<void>
}

/** Generous: what is waited for takes milliseconds on an idle machine. */
const TIMEOUT = "30 seconds"

export const connectVerdant: (library: Library, token: string) => Effect.Effect<RawVerdant, never, Scope.Scope> =
  Effect.fnUntraced(function* (library, token) {
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() => new WebSocket(library.endpoint.replace(/^http/, "ws"), ["Bearer", token])),
      (socket) => Effect.sync(() => socket.terminate())
    )
    const messages: Array<Message> = []
    const taken = new Set<Message>()
    const waiting = new Set<() => void>()
    const ended = yield* Deferred.make<{ readonly code: number }>()
    socket.on("message", (data) => {
      messages.push(JSON.parse(String(data)))
      for (const look of waiting) look()
    })
    socket.on("close", (code) => Deferred.doneUnsafe(ended, Effect.succeed({ code })))
    yield* Effect.callback<void>((resume) => {
      socket.once("open", () => resume(Effect.void))
      socket.on("error", (error) => resume(Effect.die(error)))
    })

    const next: RawVerdant["next"] = (type, fits = () => true) =>
      Effect.callback<Message>((resume) => {
        const look = () => {
          const found = messages.find((message) => !taken.has(message) && message.type === type && fits(message))
          if (found === undefined) return
          taken.add(found)
          waiting.delete(look)
          resume(Effect.succeed(found))
        }
        waiting.add(look)
        look()
        return Effect.sync(() => waiting.delete(look))
      }).pipe(orDieWith(() => `No ${type}; open: ${socket.readyState === WebSocket.OPEN}; last: ${lastOf(messages)}`))
    const send = (message: object | string) =>
      socket.send(typeof message === "string" ? message : JSON.stringify(message))
    const closed = Deferred.await(ended).pipe(orDieWith(() => `Still open; last: ${lastOf(messages)}`))

    return {
      messages,
      send,
      sendBinary: (bytes) => socket.send(bytes),
      next,
      settled: Effect.suspend(() => {
        send({ type: "heartbeat" })
        return Effect.asVoid(next("heartbeat-response"))
      }),
      closed,
      isOpen: () => socket.readyState === WebSocket.OPEN,
      close: Effect.suspend(() => {
        socket.close()
        return Effect.asVoid(closed)
      })
    }
  })

/** The status of an upgrade that the server refuses; dies if it does not, or says nothing. */
export const refusedUpgrade = (library: Library, protocols: ReadonlyArray<string>): Effect.Effect<number> =>
  Effect.callback<number>((resume) => {
    const socket = new WebSocket(library.endpoint.replace(/^http/, "ws"), [...protocols])
    socket.on("open", () => {
      socket.terminate()
      resume(Effect.die(new Error("The upgrade was not refused")))
    })
    socket.on("unexpected-response", (_, response) => resume(Effect.succeed(response.statusCode ?? 0)))
    socket.on("error", (error) => resume(Effect.die(error)))
  })

export interface Answer {
  readonly status: number
  /** Undefined: no JSON. */
  readonly body: unknown
  readonly messages: ReadonlyArray<Message>
}

/** One request as a pull client makes it; an array is its messages, anything else is the body. */
export const post = (
  library: Library,
  token: string | undefined,
  content: ReadonlyArray<object> | string
): Effect.Effect<Answer> =>
  Effect.promise(async () => {
    const response = await fetch(library.endpoint, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        ...(token === undefined ? {} : { Authorization: token.includes(" ") ? token : `Bearer ${token}` })
      },
      body: typeof content === "string" ? content : JSON.stringify({ messages: content })
    })
    const body: { readonly messages?: ReadonlyArray<Message> } | undefined = await response
      .json()
      .catch(() => undefined)
    return { status: response.status, body, messages: body?.messages ?? [] }
  })

const orDieWith = (message: () => string) =>
  Effect.timeoutOrElse({ duration: TIMEOUT, orElse: () => Effect.die(new Error(message())) })

const lastOf = (messages: ReadonlyArray<Message>): string => JSON.stringify(messages.slice(-5)).slice(0, 2000)
