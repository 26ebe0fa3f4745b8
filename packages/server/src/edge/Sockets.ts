/** WebSockets: from an HTTP upgrade to a session, and the limits that hold whatever a client does. */
import { randomBytes } from "node:crypto"
import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import { Cause, type Duration, Effect, Exit, FiberSet, Option, Queue, Schema } from "effect"
import { type RawData, type WebSocket, WebSocketServer } from "ws"
import { Access } from "../Access.ts"
import { Administration } from "../Administration.ts"
import { DocumentId, SnapshotId } from "../domain/Ids.ts"
import { CloseCode, type Connection } from "../protocols/Connection.ts"
import type { Frame } from "../protocols/Frame.ts"
import { nothingKnown } from "../protocols/secsync/Document.ts"
import type { SessionRequest } from "../protocols/secsync/Session.ts"
import { SecsyncSessions } from "../protocols/secsync/Sessions.ts"
import { documentError, parseKnownClocks, unauthorized } from "../protocols/secsync/Wire.ts"

export interface SocketLimits {
  /** Largest frame a client may send, bytes. Default 32 MiB: a snapshot is one frame. */
  readonly maxFrameBytes: number
  /** Open sockets. Default 10,000; more are refused with 503. */
  readonly maxConnections: number
  /** Bytes that a client may be behind in receiving. Default 16 MiB; then it is closed with 1013 and comes back. */
  readonly maxBufferedBytes: number
  /** From the upgrade to the document being sent. Default 10 s. */
  readonly handshakeTimeout: Duration.Input
  /** How often a client is pinged; one that missed two is dropped. Default 30 s. */
  readonly heartbeat: Duration.Input
}

export const defaultLimits: SocketLimits = {
  maxFrameBytes: 32 * 1024 * 1024,
  maxConnections: 10_000,
  maxBufferedBytes: 16 * 1024 * 1024,
  handshakeTimeout: "10 seconds",
  heartbeat: "30 seconds"
}

/** Bytes of frames that wait to be handled before the socket is not read any more. */
const MAX_INBOX_BYTES = 1024 * 1024
/** Frames that are verified together, and then handled one after the other. */
const MAX_FRAMES = 64
/** Bytes that a client may be behind before frames that may be lost are dropped. */
const MAX_VOLATILE_BYTES = 256 * 1024
/** How long a closing handshake may take, ms. */
const CLOSE_TIMEOUT = 5000

/** How long a shutdown waits until what clients have sent is answered, and as long again until they have gone. */
const GOODBYE_TIMEOUT = "3 seconds"

export interface Sockets {
  /** Node's `upgrade` event. */
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  /**
   * Refuses upgrades, answers what has arrived, and closes every socket with 1001. What a client sent before it heard of
   * that is handled as well, though it cannot be answered any more: the real client forgets a snapshot that was under way
   * when its connection ended, and with it what its user wrote.
   */
  readonly close: Effect.Effect<void>
}

export const makeSockets = Effect.fnUntraced(function* (limits: SocketLimits) {
  const access = yield* Access
  const administration = yield* Administration
  const sessions = yield* SecsyncSessions
  const server = yield* Effect.acquireRelease(
    Effect.sync(
      () =>
        new WebSocketServer({
          noServer: true,
          clientTracking: true,
          maxPayload: limits.maxFrameBytes,
          // Sealed bytes do not compress, and decompression is a way to be attacked.
          perMessageDeflate: false,
          // @ts-expect-error Known to ws 8.23, not yet to its types.
          closeTimeout: CLOSE_TIMEOUT
        })
    ),
    (server) => Effect.sync(() => server.close())
  )
  const fibers = yield* FiberSet.make<void, never>()
  const run = yield* FiberSet.runtime(fibers)()
  let accepting = true
  /** For each session: answers what has arrived. */
  const answering = new Map<WebSocket, Effect.Effect<void>>()

  const serve = Effect.fnUntraced(function* (ws: WebSocket, socket: Duplex, target: Target) {
    const inbox = yield* makeInbox(ws)
    const connection = makeConnection(ws, socket, limits.maxBufferedBytes, inbox.stop)
    const opening = Effect.gen(function* () {
      if (target.documentId === undefined) {
        connection.send(documentError)
        return connection.close(CloseCode.policy, "the path names no document")
      }
      const grant = yield* access.verify(target.token)
      const ended = yield* administration.admit(grant)
      const { documentId, mode, known } = target
      const request: SessionRequest = { grant, documentId, mode, known }
      const session = yield* Effect.raceFirst(sessions.open(connection, request), ended)
      return session === undefined ? undefined : { session, grant, ended }
    })
    const opened = yield* Effect.timeoutOption(opening, limits.handshakeTimeout)
    if (Option.isNone(opened)) return connection.close(CloseCode.tryAgainLater, "the server is too busy")
    if (opened.value === undefined) return
    const { grant, session, ended } = opened.value
    yield* Effect.acquireRelease(
      Effect.sync(() => answering.set(ws, Effect.andThen(inbox.handled, session.answered))),
      () => Effect.sync(() => answering.delete(ws))
    )
    const handle = Effect.forever(Effect.flatMap(inbox.next, session.receive)).pipe(
      Effect.catchTag("Done", () => Effect.void)
    )
    const expire = Effect.andThen(
      access.ended(grant),
      Effect.sync(() => connection.close(CloseCode.tokenRefused, "the token has ended"))
    )
    yield* Effect.raceAllFirst([handle, expire, ended])
  })

  const onConnection = (ws: WebSocket, socket: Duplex, target: Target): void => {
    const connected = serve(ws, socket, target).pipe(
      Effect.scoped,
      Effect.catchTags({
        TokenRefused: () => Effect.sync(() => refuseToken(ws, socket, "the token is not valid")),
        GrantEnded: ({ reason }) =>
          Effect.sync(() =>
            reason === "suspended"
              ? // Without a word that would have the client give up: it comes back once the library does.
                ws.close(CloseCode.tryAgainLater, "the library is suspended")
              : refuseToken(ws, socket, "the token was revoked")
          ),
        StorageUnavailable: (error) =>
          Effect.andThen(
            Effect.logWarning(error.message),
            Effect.sync(() => ws.close(CloseCode.tryAgainLater, "the storage is not available"))
          )
      }),
      Effect.onExit((exit) =>
        Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)
          ? Effect.andThen(
              Effect.logError("A connection failed", exit.cause),
              Effect.sync(() => ws.close(CloseCode.internalError, "internal error"))
            )
          : Effect.void
      ),
      Effect.ignoreCause
    )
    run(connected)
    // What is wrong with a frame, ws answers itself with 1002, 1007 or 1009; without a listener it would be thrown.
    ws.on("error", () => {})
  }

  const beat = Effect.sync(() => {
    for (const ws of server.clients) {
      if (unanswered.has(ws)) {
        ws.terminate()
      } else {
        unanswered.add(ws)
        ws.ping()
      }
    }
  })
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(limits.heartbeat), beat)))

  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const target = parseTarget(request.url ?? "/")
    if (!accepting || server.clients.size >= limits.maxConnections)
      return refuseUpgrade(socket, "503 Service Unavailable")
    if (target === undefined) return refuseUpgrade(socket, "400 Bad Request")
    socket.on("error", () => socket.destroy())
    server.handleUpgrade(request, socket, head, (ws) => {
      ws.on("pong", () => unanswered.delete(ws))
      onConnection(ws, socket, target)
    })
  }

  const goodbye = (ws: WebSocket) =>
    Effect.suspend(() => answering.get(ws) ?? Effect.void).pipe(
      Effect.timeoutOption(GOODBYE_TIMEOUT),
      Effect.andThen(Effect.sync(() => ws.close(CloseCode.goingAway, "the server is shutting down")))
    )

  const close = Effect.gen(function* () {
    accepting = false
    yield* Effect.forEach(server.clients, goodbye, { concurrency: "unbounded", discard: true })
    // A session ends once its client has gone and all that it sent is handled.
    yield* Effect.timeoutOption(FiberSet.awaitEmpty(fibers), GOODBYE_TIMEOUT)
    for (const ws of server.clients) ws.terminate()
    yield* FiberSet.clear(fibers)
  })

  return { upgrade, close } satisfies Sockets
})

/** Sockets that were pinged and have not answered. */
const unanswered = new WeakSet<WebSocket>()

// ---------------------------------------------------------------------------------------------------- the request

interface Target {
  /** undefined: the path names nothing that can be a document. */
  readonly documentId: DocumentId | undefined
  readonly token: string
  readonly mode: "complete" | "delta"
  readonly known: SessionRequest["known"]
}

const decodeDocumentId = Schema.decodeUnknownOption(DocumentId)
const decodeSnapshotId = Schema.decodeUnknownOption(SnapshotId)

/** `/<documentId>?sessionKey=…&mode=…&knownSnapshotId=…&knownSnapshotUpdateClocks=…` */
const parseTarget = (url: string): Target | undefined => {
  let path: string
  let query: URLSearchParams
  try {
    const parsed = new URL(url, "ws://server")
    path = decodeURIComponent(parsed.pathname.slice(1))
    query = parsed.searchParams
  } catch {
    return undefined
  }
  const snapshotId = Option.getOrUndefined(decodeSnapshotId(query.get("knownSnapshotId")))
  return {
    documentId: Option.getOrUndefined(decodeDocumentId(path)),
    token: query.get("sessionKey") ?? "",
    mode: query.get("mode") === "delta" ? "delta" : "complete",
    known:
      snapshotId === undefined
        ? nothingKnown
        : { snapshotId, clocks: parseKnownClocks(query.get("knownSnapshotUpdateClocks")) }
  }
}

const refuseToken = (ws: WebSocket, socket: Duplex, reason: string): void => {
  if (ws.readyState === ws.OPEN) socket.write(unauthorized)
  ws.close(CloseCode.tokenRefused, reason)
}

const refuseUpgrade = (socket: Duplex, status: string): void => {
  socket.on("error", () => socket.destroy())
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

// ------------------------------------------------------------------------------------------------------ the socket

const makeConnection = (
  ws: WebSocket,
  socket: Duplex,
  maxBufferedBytes: number,
  stopReading: () => void
): Connection => {
  let isSentAway = false
  let isCorked = false
  const uncork = () => {
    isCorked = false
    socket.uncork()
  }
  /** Past `ws`, which would make the frame anew for each client; all that one turn brings goes in one write. */
  const write = (frame: Frame): void => {
    if (ws.readyState !== ws.OPEN) return
    if (!isCorked) {
      isCorked = true
      socket.cork()
      process.nextTick(uncork)
    }
    socket.write(frame)
  }
  const close = (code: number, reason: string) => {
    isSentAway = true
    stopReading()
    ws.close(code, reason)
  }
  return {
    id: randomBytes(12).toString("base64url"),
    send: (frame) => {
      // A frame larger than the bound is sent to a client that has taken all before it.
      if (socket.writableLength > 0 && socket.writableLength + frame.length > maxBufferedBytes) {
        close(CloseCode.tryAgainLater, "the client does not keep up")
      } else {
        write(frame)
      }
    },
    sendVolatile: (frame) => {
      if (socket.writableLength + frame.length <= MAX_VOLATILE_BYTES) write(frame)
    },
    close,
    isSentAway: () => isSentAway
  }
}

/**
 * A client's frames in order; while too many wait, its socket is not read. When the client goes, what it sent before is
 * still handled; when the server sends it away, nothing more is.
 */
const makeInbox = Effect.fnUntraced(function* (ws: WebSocket) {
  const queue = yield* Queue.unbounded<string, Cause.Done>()
  let bytes = 0
  let arrived = 0
  let taken = 0
  let done = 0
  let waiting: Array<{ readonly arrived: number; readonly resume: () => void }> = []
  ws.on("message", (data: RawData, isBinary: boolean) => {
    if (isBinary) return ws.close(CloseCode.notUtf8OrJson, "a frame is JSON text")
    const text = data.toString()
    bytes += text.length
    arrived += 1
    if (bytes > MAX_INBOX_BYTES) ws.pause()
    Queue.offerUnsafe(queue, text)
  })
  ws.on("close", () => Queue.endUnsafe(queue))
  /** Asked for when those before are handled. */
  const next = Effect.suspend(() => {
    done = taken
    for (const { arrived, resume } of waiting) if (arrived <= done) resume()
    waiting = waiting.filter(({ arrived }) => arrived > done)
    return Effect.map(Queue.takeBetween(queue, 1, MAX_FRAMES), (texts) => {
      taken += texts.length
      for (const text of texts) bytes -= text.length
      if (bytes <= MAX_INBOX_BYTES && ws.isPaused) ws.resume()
      return texts
    })
  })
  /** Waits until all that has arrived is handled. */
  const handled = Effect.callback<void>((resume) => {
    if (arrived <= done) resume(Effect.void)
    else waiting.push({ arrived, resume: () => resume(Effect.void) })
  })
  return { next, handled, stop: () => void Queue.shutdownUnsafe(queue) }
})
