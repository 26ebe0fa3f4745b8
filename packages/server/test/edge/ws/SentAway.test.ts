/** Of whoever was sent away nothing is taken any more, however much he goes on to send. */
import type { Socket } from "node:net"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { askToUpgrade, frameHeader } from "#test-support/network/UpgradeByHand"
import { startMemoryServer } from "#test-support/servers/TestServer"

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

/** A client without a token, once it was sent away. */
const comeWithoutToken = Effect.fnUntraced(function* (port: number) {
  const socket = yield* askToUpgrade(port, "/document?sessionKey=none", { allowHalfOpen: true })
  let heard = ""
  yield* Effect.callback<void>((resume) => {
    socket.on("data", (data) => {
      heard += data.toString("latin1")
      if (heard.includes('{"type":"unauthorized"}') && heard.includes(REFUSED)) resume(Effect.void)
    })
  })
  return socket
})

/** The beginning of a frame whose end never comes; done when the server has read it. */
const sendFrame = (socket: Socket) =>
  Effect.callback<void>((resume) => {
    socket.write(frameHeader(BYTES + 1))
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
