/** Responses whose client takes nothing are ended, and those whose client takes very little, while many others wait. */
import { createServer, type Server, type ServerResponse } from "node:http"
import { type AddressInfo, connect } from "node:net"
import { Readable } from "node:stream"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { until } from "#test-support/until"
import { endStalledAnswers, endTricklingAnswers } from "../../../src/edge/http/RequestTimeouts.ts"

/** A server with an endless response to every request. */
const startServerWith = (prepare: (server: Server) => unknown) =>
  Effect.acquireRelease(
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
      prepare(server)
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ server, responses })))
    }),
    ({ server }) =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )

const ask = (server: Server, path: string, method = "GET") =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const socket = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1" })
      socket.on("error", () => {})
      socket.write(`${method} ${path} HTTP/1.1\r\nHost: server\r\nContent-Length: 0\r\n\r\n`)
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

describe("a download whose client takes very little", () => {
  it.live("ends once many requests are in progress, and others go on", () =>
    Effect.gen(function* () {
      let [isCrowded, asked] = [false, 0]
      const answers = endTricklingAnswers({
        intervalMillis: 100,
        isCrowded: () => {
          asked += 1
          return isCrowded
        }
      })
      yield* Effect.addFinalizer(() => Effect.sync(answers.stop))
      const { server, responses } = yield* startServerWith((server) => server.on("request", answers.request))
      const trickling = yield* ask(server, "/verdant/files/trickling/content")
      trickling.pause()
      const trickle = setInterval(() => trickling.read(1), 20)
      yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(trickle)))
      const reading = yield* ask(server, "/verdant/files/read/content")
      reading.resume()
      yield* until("the download is found to trickle", () => asked >= 3)
      assert.isFalse(responses.get("/verdant/files/trickling/content")?.closed)
      isCrowded = true
      yield* until("it is ended", () => responses.get("/verdant/files/trickling/content")?.closed === true)
      assert.isFalse(responses.get("/verdant/files/read/content")?.closed)
    })
  )
})

describe("a response", () => {
  it.live("ends when its client takes nothing, and continues while its client reads slowly", () =>
    Effect.gen(function* () {
      const { server, responses } = yield* startServerWith((server) =>
        server.on("request", endStalledAnswers("200 millis"))
      )
      const reading = yield* ask(server, "/verdant/files/read/content")
      // A little at a time.
      reading.pause()
      reading.on("readable", () => reading.read())
      yield* ask(server, "/verdant/files/stalled/content")
      yield* ask(server, "/verdant", "POST")
      yield* ask(server, "/of-the-app")
      for (const path of ["/verdant/files/stalled/content", "/verdant"]) {
        yield* until("the response is ended", () => responses.get(path)?.closed === true)
      }
      assert.isFalse(responses.get("/verdant/files/read/content")?.closed)
      assert.isFalse(responses.get("/of-the-app")?.closed)
    })
  )
})
