/** Downloads whose client takes nothing are ended; others go on for as long as they like. */
import { createServer, type Server, type ServerResponse } from "node:http"
import { type AddressInfo, connect } from "node:net"
import { Readable } from "node:stream"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { endStalledDownloads } from "../src/edge/stalledDownloads.ts"

const until = (condition: () => boolean) =>
  Effect.repeat(Effect.sync(condition), { schedule: Schedule.spaced("5 millis"), until: (holds) => holds })

/** Sends everybody more than anybody takes. */
const startServer = Effect.acquireRelease(
  Effect.callback<{ readonly server: Server; readonly responses: Map<string, ServerResponse> }>((resume) => {
    const responses = new Map<string, ServerResponse>()
    const server = createServer((request, response) => {
      responses.set(request.url!, response)
      const endless = new Readable({
        read() {
          this.push(Buffer.alloc(64 * 1024))
        }
      })
      response.on("close", () => endless.destroy())
      endless.pipe(response)
    })
    endStalledDownloads(server, "200 millis")
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ server, responses })))
  }),
  ({ server }) =>
    Effect.sync(() => {
      server.closeAllConnections()
      server.close()
    })
)

const download = (server: Server, path: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const socket = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1" })
      socket.on("error", () => {})
      socket.write(`GET ${path} HTTP/1.1\r\nHost: server\r\n\r\n`)
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

describe("a download", () => {
  it.live("is ended when its client takes nothing, and goes on while it takes something", () =>
    Effect.gen(function* () {
      const { server, responses } = yield* startServer
      const reading = yield* download(server, "/verdant/files/read/content")
      // A little at a time.
      reading.pause()
      reading.on("readable", () => reading.read())
      yield* download(server, "/verdant/files/stalled/content")
      yield* download(server, "/of-the-app")
      yield* until(() => responses.get("/verdant/files/stalled/content")?.closed === true)
      assert.isFalse(responses.get("/verdant/files/read/content")?.closed)
      assert.isFalse(responses.get("/of-the-app")?.closed)
    })
  )
})
