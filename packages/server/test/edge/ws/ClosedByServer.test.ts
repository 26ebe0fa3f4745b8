/** The server keeps nothing that a client sends after the server has closed the connection. */
import type { Socket } from "node:net"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { askToUpgrade, frameHeader } from "#test-support/network/UpgradeByHand"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { until } from "#test-support/until"

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

/** The code 4401 in the server's closing frame. */
const REFUSED = Buffer.from([4401 >> 8, 4401 & 255]).toString("latin1")

/** Connects without a token. Completes when the server has closed the connection. */
const connectWithoutToken = Effect.fnUntraced(function* (port: number) {
  const socket = yield* askToUpgrade(port, "/document?sessionKey=none", { allowHalfOpen: true })
  let received = ""
  yield* Effect.callback<void>((resume) => {
    socket.on("data", (data) => {
      received += data.toString("latin1")
      if (received.includes('{"type":"unauthorized"}') && received.includes(REFUSED)) resume(Effect.void)
    })
  })
  return socket
})

/** Sends a frame without its last byte. Completes when it is written to the socket. */
const sendFrame = (socket: Socket) =>
  Effect.callback<void>((resume) => {
    socket.write(frameHeader(BYTES + 1))
    for (let sent = 0; sent < BYTES; sent += MB) socket.write(CHUNK)
    socket.write("", () => resume(Effect.void))
  })

describe("a client whose connection the server has closed", () => {
  it.live("is told why, and its later frames are not buffered", () =>
    Effect.gen(function* () {
      const { port } = yield* startMemoryServer()
      const before = bufferedBytes()
      for (let i = 0; i < CONNECTIONS; i++) {
        yield* sendFrame(yield* connectWithoutToken(port))
      }
      // A collection frees buffers a little later.
      yield* until("nothing is buffered", () => bufferedBytes() - before < BYTES)
    })
  )
})
