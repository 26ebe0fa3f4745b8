/** A download whose client takes nothing: it holds a connection and an open file, and a link is all that it takes. */
import type { Server } from "node:http"
import { Duration } from "effect"
import { VERDANT_PATH } from "./VerdantGate.ts"

/** Ends what makes no progress for so long; a browser that was only paused asks for the rest. */
export const endStalledDownloads = (server: Server, idleTimeout: Duration.Input): void => {
  const millis = Duration.toMillis(Duration.fromInputUnsafe(idleTimeout))
  server.on("request", ({ method, url = "", socket }, response) => {
    if (method === "GET" && url.startsWith(`${VERDANT_PATH}/files/`))
      response.setTimeout(millis, () => socket.destroy())
  })
}
