/** A WebSocket that keeps every JSON message it receives, so that a test can wait for one of them. */
import { Deferred, Effect, type Scope } from "effect"
import { WebSocket } from "ws"

/** A message of the server. A test reads the fields that it needs. */
export interface Received {
  readonly type: string
  readonly [field: string]: unknown
}

export interface RawSocket {
  readonly socket: WebSocket
  /** Every message so far, in the order of arrival. */
  readonly received: ReadonlyArray<Received>
  /** Sends text as it is, and an object as JSON. */
  readonly send: (message: object | string) => void
  readonly sendBinary: (bytes: Uint8Array) => void
  /** Waits for the first message that matches and that no earlier call has returned. */
  readonly next: (type?: string, matches?: (message: Received) => boolean) => Effect.Effect<Received>
  /** Calls the listener with every later message. */
  readonly onMessage: (listener: (message: Received) => void) => void
  /** Waits until the connection is closed. */
  readonly closed: Effect.Effect<{ readonly code: number; readonly reason: string }>
  readonly isOpen: () => boolean
}

/** Far more than a message takes on an idle machine. */
const TIMEOUT = "2 minutes"

/** Connects, and returns once the connection is open. Dies if the server refuses the upgrade. */
export const openSocket: (
  url: string,
  protocols?: ReadonlyArray<string>
) => Effect.Effect<RawSocket, never, Scope.Scope> = Effect.fnUntraced(function* (url, protocols = []) {
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() => new WebSocket(url, [...protocols])),
    (socket) => Effect.sync(() => socket.terminate())
  )
  const received: Array<Received> = []
  const taken = new Set<Received>()
  const waiting = new Set<() => void>()
  const listeners: Array<(message: Received) => void> = []
  const ended = yield* Deferred.make<{ readonly code: number; readonly reason: string }>()
  socket.on("message", (data) => {
    const message: Received = JSON.parse(String(data))
    received.push(message)
    for (const listener of listeners) listener(message)
    for (const look of waiting) look()
  })
  socket.on("close", (code, reason) => Deferred.doneUnsafe(ended, Effect.succeed({ code, reason: String(reason) })))
  yield* Effect.callback<void>((resume) => {
    socket.once("open", () => resume(Effect.void))
    socket.on("error", (error) => resume(Effect.die(error)))
  })

  const isOpen = () => socket.readyState === WebSocket.OPEN
  const describe = () => `open: ${isOpen()}; last: ${JSON.stringify(received.slice(-5)).slice(0, 2000)}`
  return {
    socket,
    received,
    send: (message) => socket.send(typeof message === "string" ? message : JSON.stringify(message)),
    sendBinary: (bytes) => socket.send(bytes),
    next: (type, matches = () => true) =>
      Effect.callback<Received>((resume) => {
        const look = () => {
          const found = received.find(
            (message) => !taken.has(message) && (type === undefined || message.type === type) && matches(message)
          )
          if (found === undefined) return
          taken.add(found)
          waiting.delete(look)
          resume(Effect.succeed(found))
        }
        waiting.add(look)
        look()
        return Effect.sync(() => waiting.delete(look))
      }).pipe(orDieWith(() => `No ${type ?? "message"}; ${describe()}`)),
    onMessage: (listener) => void listeners.push(listener),
    closed: Deferred.await(ended).pipe(orDieWith(() => `Not closed; ${describe()}`)),
    isOpen
  }
})

const orDieWith = (message: () => string) =>
  Effect.timeoutOrElse({ duration: TIMEOUT, orElse: () => Effect.die(new Error(message())) })
