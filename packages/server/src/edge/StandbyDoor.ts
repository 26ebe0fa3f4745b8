/**
 * A server that starts on a standby and waits: it answers on its port that it is not ready, and opens once the standby is
 * promoted. Its program is loaded and its storage is open by then.
 */
import { createServer, type RequestListener } from "node:http"
import { Effect, Layer, Schedule } from "effect"
import { untilPromoted } from "../rooms/LogEpoch.ts"
import { HEADERS_TIMEOUT, nodeServerOptions } from "./Handlers.ts"
import { type Address, listen } from "./listen.ts"

/** The pause before a port is tried again that another server still has, for example the one that this one is to follow. */
const PORT_RETRY = "100 millis"
/** Each connection is answered once and closed. */
const MAX_CONNECTIONS = 1000

/**
 * Waits while the log is a standby, or cannot be read. Servers are built on it, so that none of them starts before. `address`: where to
 * answer until then; undefined: nowhere.
 */
export const layerUntilPromoted = (address: Address | undefined) =>
  Layer.effectDiscard(
    Effect.scoped(
      untilPromoted(
        Effect.gen(function* () {
          yield* Effect.logInfo("server waits until its log, a standby, is promoted")
          if (address !== undefined) yield* Effect.forkScoped(answerAt(address))
        })
      )
    )
  )

const answerAt = (address: Address) =>
  Effect.gen(function* () {
    const server = createServer({ ...nodeServerOptions, requestTimeout: HEADERS_TIMEOUT }, answer)
    server.maxConnections = MAX_CONNECTIONS
    yield* listen(server, address)
    yield* Effect.addFinalizer(() => Effect.sync(() => server.closeAllConnections()))
  }).pipe(Effect.retry(Schedule.spaced(PORT_RETRY)))

const NOT_READY = JSON.stringify({ status: "unhealthy", reason: "the log is a standby, and is not promoted yet" })

const answer: RequestListener = (request, response) => {
  const isAlive = request.url === "/livez"
  const head = { "content-type": "application/json", connection: "close" }
  response.writeHead(isAlive ? 200 : 503, head).end(isAlive ? '{"status":"ok"}' : NOT_READY)
}
