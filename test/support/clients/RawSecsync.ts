/**
 * A raw Secsync connection to one document: it sends what a test hands it, and keeps every frame of the server. Like a
 * real client, it confirms a document that has a snapshot with an ephemeral message.
 */
import { ephemeralMessage, makeAuthor } from "@sealog/server/testing"
import { Effect, type Scope } from "effect"
import { openSocket, type RawSocket, type Received } from "./RawSocket.ts"

export type ServerFrame = Received

export interface RawSecsync extends Omit<RawSocket, "received" | "onMessage"> {
  readonly frames: ReadonlyArray<ServerFrame>
  /** Calls the listener with every later frame. */
  readonly onFrame: (listener: (frame: ServerFrame) => void) => void
}

export interface RawSecsyncOptions {
  /** ws://HOST:PORT */
  readonly url: string
  readonly documentId: string
  readonly token: string
  /** More parameters of the URL, beginning with `&`. */
  readonly query?: string
  /** Leaves the document unconfirmed. */
  readonly silent?: boolean
}

/** Connects and waits for the first frame. `first` is that frame; `next` does not return it again. */
export const connectRaw = Effect.fnUntraced(function* (options: RawSecsyncOptions) {
  const client = yield* openRaw(options)
  const first = yield* client.next()
  return { ...client, first }
})

/** Connects, and returns as soon as the connection is open. */
export const openRaw: (options: RawSecsyncOptions) => Effect.Effect<RawSecsync, never, Scope.Scope> = Effect.fnUntraced(
  function* ({ url, documentId, token, query = "", silent = false }) {
    const { received, onMessage, ...socket } = yield* openSocket(`${url}/${documentId}?sessionKey=${token}${query}`)
    if (!silent) {
      const confirm = ({ type, snapshot }: ServerFrame) => {
        if (type !== "document" || snapshot === undefined) return
        socket.send(ephemeralMessage(makeAuthor(), { docId: documentId }))
      }
      for (const frame of received) confirm(frame)
      onMessage(confirm)
    }
    return { ...socket, frames: received, onFrame: onMessage }
  }
)
