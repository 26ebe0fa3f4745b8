/**
 * Ends requests whose body comes too slowly, and responses whose client takes nothing or very little. Otherwise a client could hold a
 * connection for as long as it likes.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import { Duration } from "effect"
import * as Metrics from "../../metrics/Metrics.ts"
import { isVerdantPath, VERDANT_PATH } from "../../protocols/verdant/ConnectionUrl.ts"
import { MAX_SLOW_LOOKS, MIN_BYTES_PER_SECOND, PROGRESS_INTERVAL } from "../ReceiveBudget.ts"
import { routeOf } from "./Route.ts"

export interface BodyTimeouts {
  /** For the upload of a file, until it is answered. */
  readonly uploadTimeout: Duration.Input
  /** For every other body, and for the rest of an upload's body after the response. */
  readonly bodyTimeout: Duration.Input
}

/**
 * Returns a listener that ends a request with 408 when its body is not complete in time. Replaces Node's `requestTimeout`,
 * which is one for all.
 */
export const endSlowBodies = (timeouts: BodyTimeouts): RequestListener => {
  const [uploadMillis, bodyMillis] = [millisOf(timeouts.uploadTimeout), millisOf(timeouts.bodyTimeout)]
  return (request, response) => {
    if (request.complete) return
    if (!isUpload(request)) return endAfter(bodyMillis, request, response)
    endAfter(uploadMillis, request, response)
    response.once("finish", () => {
      if (!request.complete) endAfter(bodyMillis, request, response)
    })
  }
}

const millisOf = (duration: Duration.Input): number => Duration.toMillis(Duration.fromInputUnsafe(duration))

const isUpload = ({ method, url = "" }: IncomingMessage): boolean =>
  method === "POST" && url.startsWith(`${VERDANT_PATH}/files/`)

const endAfter = (millis: number, request: IncomingMessage, response: ServerResponse): void => {
  const timer = setTimeout(() => {
    if (request.complete) return
    Metrics.requestsRefused.at({ route: routeOf(request.url), status: "408", reason: "slow" }).add()
    // As Node does it. The connection cannot be reused, because its request never ended.
    if (!response.headersSent) request.socket.write("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")
    request.socket.destroySoon()
  }, millis)
  // It must not keep the process of an app that has closed its server.
  timer.unref()
  request.once("close", () => clearTimeout(timer))
}

/**
 * Returns a listener that ends a response to a polling client, or a download, that makes no progress for this long. A browser
 * that only paused asks for the rest of the file.
 */
export const endStalledAnswers = (idleTimeout: Duration.Input): RequestListener => {
  const millis = millisOf(idleTimeout)
  return (request, response) => {
    if (!mayBeLong(request)) return
    response.setTimeout(millis, () => {
      Metrics.responsesCut.at({ cause: "stalled" }).add()
      request.socket.destroy()
    })
  }
}

/** Whether the answer may be long: a download or the answer to a poll. An upload is not: the file store may need long for it. */
const mayBeLong = ({ method, url = "" }: IncomingMessage): boolean =>
  (method === "GET" && url.startsWith(`${VERDANT_PATH}/files/`)) || isVerdantPath(url)

export interface TricklingOptions {
  /** Whether so many requests are in progress that others may have to wait. */
  readonly isCrowded: () => boolean
  /** Time between two looks, ms. Default: as for messages that arrive. */
  readonly intervalMillis?: number
}

/** The answer to one request, and how it goes on. */
interface Progress {
  readonly socket: Socket
  taken: number
  slowLooks: number
}

export interface TricklingAnswers {
  readonly request: RequestListener
  /** Looks no more. */
  readonly stop: () => void
}

/**
 * Makes a listener that ends an answer whose client takes less than 16 KiB a second, at two looks in a row, while many requests are in progress. It
 * is the rule for large messages that arrive: a slow client may be slow unless others need its place.
 */
export const endTricklingAnswers = ({
  intervalMillis = PROGRESS_INTERVAL,
  isCrowded
}: TricklingOptions): TricklingAnswers => {
  const minProgress = (MIN_BYTES_PER_SECOND * intervalMillis) / 1000
  const answers = new Set<Progress>()
  const request: RequestListener = (request, response) => {
    if (!mayBeLong(request)) return
    const progress = { socket: request.socket, taken: 0, slowLooks: 0 }
    answers.add(progress)
    response.once("close", () => answers.delete(progress))
  }
  const look = () => {
    for (const progress of answers) {
      const { bytesWritten, writableLength } = progress.socket
      const taken = bytesWritten - writableLength
      // Without bytes that wait, it is the file store that is slow.
      const isSlow = writableLength > 0 && taken - progress.taken < minProgress
      progress.taken = taken
      progress.slowLooks = isSlow ? progress.slowLooks + 1 : 0
      if (progress.slowLooks <= MAX_SLOW_LOOKS || !isCrowded()) continue
      Metrics.responsesCut.at({ cause: "trickling" }).add()
      progress.socket.destroy()
    }
  }
  const timer = setInterval(look, intervalMillis).unref()
  return { request, stop: () => clearInterval(timer) }
}
