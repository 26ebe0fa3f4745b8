/**
 * A bare WebSocket on a document: sends whatever it is told to, and keeps every frame that comes. Like every client it
 * says that it has taken a document with a snapshot, by an ephemeral message.
 */
import { ephemeralMessage, makeAuthor } from "@sealog/server/testing"
import { Deferred, Effect, type Scope } from "effect"
import { WebSocket } from "ws"

/** A frame from the server, as far as a test looks into it. */
export interface ServerFrame {
  readonly type: string
  readonly [field: string]: unknown
}

export interface RawClient {
  readonly socket: WebSocket
  readonly frames: ReadonlyArray<ServerFrame>
  /** An object is sent as JSON, text and bytes as they are. */
  readonly send: (message: object | string) => void
  readonly sendBinary: (bytes: Uint8Array) => void
  /** The first frame that fits and that no other call has returned. */
  readonly next: (type?: string, fits?: (frame: ServerFrame) => boolean) => Effect.Effect<ServerFrame>
  /** Called with every later frame. */
  readonly onFrame: (listener: (frame: ServerFrame) => void) => void
  /** How the connection ended. */
  readonly closed: Effect.Effect<{ readonly code: number; readonly reason: string }>
  readonly isOpen: () => boolean
}

export interface RawClientOptions {
  /** ws://HOST:PORT */
  readonly url: string
  readonly documentId: string
  readonly token: string
  /** More of the query, beginning with `&`. */
  readonly query?: string
  /** Says nothing by itself. */
  readonly silent?: boolean
}

/** Generous: what is waited for takes milliseconds on an idle machine. */
const TIMEOUT = "2 minutes"

/** Connects and waits for the first frame, which stays in `frames` and is not returned by `next`. */
export const connectRaw = Effect.fnUntraced(function* (options: RawClientOptions) {
  const client = yield* openRaw(options)
  const first = yield* client.next()
  return { ...client, first }
})

/** As soon as the connection is open. */
export const openRaw: (options: RawClientOptions) => Effect.Effect<RawClient, never, Scope.Scope> = Effect.fnUntraced(
  function* ({ url, documentId, token, query = "", silent = false }: RawClientOptions) {
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() => new WebSocket(`${url}/${documentId}?sessionKey=${token}${query}`)),
      (socket) => Effect.sync(() => socket.terminate())
    )
    const frames: Array<ServerFrame> = []
    const taken = new Set<ServerFrame>()
    const waiting = new Set<() => void>()
    const listeners: Array<(frame: ServerFrame) => void> = []
    const ended = yield* Deferred.make<{ readonly code: number; readonly reason: string }>()
    socket.on("message", (data) => {
      const frame: ServerFrame = JSON.parse(String(data))
      frames.push(frame)
      if (!silent && frame.type === "document" && frame["snapshot"] !== undefined) {
        socket.send(JSON.stringify(ephemeralMessage(makeAuthor(), { docId: documentId })))
      }
      for (const look of waiting) look()
      for (const listener of listeners) listener(frame)
    })
    socket.on("close", (code, reason) => Deferred.doneUnsafe(ended, Effect.succeed({ code, reason: String(reason) })))
    yield* Effect.callback<void>((resume) => {
      socket.once("open", () => resume(Effect.void))
      socket.on("error", (error) => resume(Effect.die(error)))
    })

    const next: RawClient["next"] = (type, fits = () => true) =>
      Effect.callback<ServerFrame>((resume) => {
        const look = () => {
          const found = frames.find(
            (frame) => !taken.has(frame) && (type === undefined || frame.type === type) && fits(frame)
          )
          if (found === undefined) return
          taken.add(found)
          waiting.delete(look)
          resume(Effect.succeed(found))
        }
        waiting.add(look)
        look()
        return Effect.sync(() => waiting.delete(look))
      }).pipe(
        orDieWith(
          () => `No frame ${type ?? ""}; open: ${socket.readyState === WebSocket.OPEN}; last: ${lastOf(frames)}`
        )
      )

    return {
      socket,
      frames,
      send: (message) => socket.send(typeof message === "string" ? message : JSON.stringify(message)),
      sendBinary: (bytes) => socket.send(bytes),
      next,
      onFrame: (listener) => void listeners.push(listener),
      closed: Deferred.await(ended).pipe(orDieWith(() => `Still open; last: ${lastOf(frames)}`)),
      isOpen: () => socket.readyState === WebSocket.OPEN
    }
  }
)

const orDieWith = (message: () => string) =>
  Effect.timeoutOrElse({ duration: TIMEOUT, orElse: () => Effect.die(new Error(message())) })

const lastOf = (frames: ReadonlyArray<ServerFrame>): string => JSON.stringify(frames.slice(-5)).slice(0, 2000)
