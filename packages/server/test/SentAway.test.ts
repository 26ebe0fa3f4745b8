/** Of whoever was sent away nothing is taken any more, however much he goes on to send. */
import { connect, type Socket } from "node:net"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { startMemoryServer } from "./support/MemoryServer.ts"

const MB = 1024 * 1024
const CONNECTIONS = 16
const BYTES = 30 * MB
const CHUNK = Buffer.alloc(MB, 1)

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")
const bufferedBytes = () => {
  collect()
  return process.memoryUsage().arrayBuffers
}

/** In the server's closing frame. */
const REFUSED = Buffer.from([4401 >> 8, 4401 & 255]).toString("latin1")

/** A WebSocket without a token, on which no frame is ever answered; once it was sent away. */
const comeWithoutToken = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<Socket>((resume) => {
      const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true })
      socket.on("error", () => {})
      let heard = ""
      socket.on("data", (data) => {
        heard += data.toString("latin1")
        if (heard.includes('{"type":"unauthorized"}') && heard.includes(REFUSED)) resume(Effect.succeed(socket))
      })
      const head = [
        "GET /document?sessionKey=none HTTP/1.1",
        "Host: server",
        "Connection: Upgrade",
        "Upgrade: websocket"
      ]
      const key = ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
      socket.write(`${[...head, ...key].join("\r\n")}\r\n\r\n`)
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** The beginning of a frame whose end never comes; done when the server has read it. */
const sendFrame = (socket: Socket) =>
  Effect.callback<void>((resume) => {
    const header = Buffer.alloc(14)
    header[0] = 0x81
    header[1] = 0x80 | 127
    header.writeBigUInt64BE(BigInt(BYTES + 1), 2)
    socket.write(header)
    for (let sent = 0; sent < BYTES; sent += MB) socket.write(CHUNK)
    socket.write("", () => resume(Effect.void))
  })

describe("a client that was sent away", () => {
  it.live("is told why, and what it sends after that is not kept", () =>
    Effect.gen(function* () {
      const { port } = yield* startMemoryServer()
      const before = bufferedBytes()
      for (let i = 0; i < CONNECTIONS; i++) {
        yield* sendFrame(yield* comeWithoutToken(port))
      }
      assert.isBelow(bufferedBytes() - before, BYTES)
    })
  )
})
