/** An answer that its client does not take holds a connection, and an open file or what a whole library comes to. */
import type { Server } from "node:http"
import { Duration } from "effect"
import { isVerdantPath, VERDANT_PATH } from "../admitVerdant.ts"

/** Ends what makes no progress for so long; a browser that was only paused asks for the rest of a file. */
export const endStalledAnswers = (server: Server, idleTimeout: Duration.Input): void => {
  const millis = Duration.toMillis(Duration.fromInputUnsafe(idleTimeout))
  server.on("request", ({ method, url = "", socket }, response) => {
    // Not an upload: the store of files may take its time with the end of one.
    const isDownload = method === "GET" && url.startsWith(`${VERDANT_PATH}/files/`)
    if (isDownload || isVerdantPath(url)) response.setTimeout(millis, () => socket.destroy())
  })
}
