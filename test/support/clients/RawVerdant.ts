/** Raw Verdant connections to one library, by socket and by request: they send what a test hands them. */
import { Effect, type Scope } from "effect"
import { WebSocket } from "ws"
import type { Library } from "../verdant/Library.ts"
import type { Message } from "../verdant/Network.ts"
import type { Replica } from "../verdant/Replica.ts"
import { openSocket, type RawSocket } from "./RawSocket.ts"

export interface RawVerdant
  extends Pick<RawSocket, "send" | "sendBinary" | "next" | "closed" | "isOpen" | "onMessage"> {
  /** Every message of the server so far. */
  readonly messages: ReadonlyArray<Message>
  /** Waits until the server has handled everything sent so far: it answers a heartbeat in its turn. */
  readonly settled: Effect.Effect<void>
  /** Closes the connection, and waits until it is closed. */
  readonly close: Effect.Effect<void>
}

/** The address of a library's sockets. */
const socketUrl = ({ endpoint }: Library): string => endpoint.replace(/^http/, "ws")

/** Connects, and returns once the connection is open. */
export const connectVerdant: (library: Library, token: string) => Effect.Effect<RawVerdant, never, Scope.Scope> =
  Effect.fnUntraced(function* (library, token) {
    const { closed, isOpen, next, onMessage, received, send, sendBinary, socket } = yield* openSocket(
      socketUrl(library),
      ["Bearer", token]
    )
    return {
      ...{ closed, isOpen, next, onMessage, send, sendBinary },
      messages: received,
      settled: Effect.suspend(() => {
        send({ type: "heartbeat" })
        return Effect.asVoid(next("heartbeat-response"))
      }),
      close: Effect.suspend(() => {
        socket.close()
        return Effect.asVoid(closed)
      })
    }
  })

/** Syncs as a replica without data, which registers it, and returns the answer. */
export const registerReplica = (connection: RawVerdant, replica: Replica): Effect.Effect<Message> =>
  Effect.suspend(() => {
    connection.send(replica.sync({ resyncAll: true }))
    return connection.next("sync-resp")
  })

/** The HTTP status with which the server refuses an upgrade. Dies if the server accepts it, or does not answer. */
export const refusedUpgrade = (library: Library, protocols: ReadonlyArray<string>): Effect.Effect<number> =>
  Effect.callback<number>((resume) => {
    const socket = new WebSocket(socketUrl(library), [...protocols])
    socket.on("open", () => {
      socket.terminate()
      resume(Effect.die(new Error("The upgrade was not refused")))
    })
    socket.on("unexpected-response", (_, response) => resume(Effect.succeed(response.statusCode ?? 0)))
    socket.on("error", (error) => resume(Effect.die(error)))
  })

export interface Answer {
  readonly status: number
  readonly headers: Headers
  /** Undefined if the body is not JSON. */
  readonly body: unknown
  readonly messages: ReadonlyArray<Message>
}

/** One poll, as a client that pulls makes it. `content`: the messages, or the text of the whole body. */
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
    return { status: response.status, headers: response.headers, body, messages: body?.messages ?? [] }
  })

/** The answer to a sync among the messages of a response. */
export const syncResponse = ({ messages }: Pick<Answer, "messages">): Message | undefined =>
  messages.find(({ type }) => type === "sync-resp")
