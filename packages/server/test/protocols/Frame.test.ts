/** WebSocket clients read our frames as text frames of RFC 6455 section 5.2. */

import type { AddressInfo } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { textFrame, textFrameInPieces } from "@sealog/server/protocols/Frame"
import { WebSocketServer } from "ws"

/** Reads a frame with the WebSocket of browsers, which Node has as well. */
const read = async (frame: Uint8Array): Promise<string> => {
  const server = new WebSocketServer({ port: 0 })
  server.on("connection", (_, request) => request.socket.write(frame))
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
  try {
    return await new Promise((resolve, reject) => {
      client.onmessage = ({ data }) => resolve(data)
      client.onclose = ({ code }) => reject(new Error(`closed with ${code}`))
    })
  } finally {
    for (const socket of server.clients) socket.terminate()
    server.close()
  }
}

describe("a text frame", () => {
  for (const length of [0, 1, 125, 126, 127, 65_535, 65_536, 1_000_000]) {
    it(`of ${length} bytes is read as its text`, async () => {
      const text = "x".repeat(length)
      assert.strictEqual(await read(textFrame([text])), text)
      assert.strictEqual(await read(textFrame([Buffer.from(text)])), text)
    })
  }

  it("joins parts of text and of bytes", async () => {
    const parts = ["{", Buffer.from('"é":'), "", '"✉ 𝄞"', Buffer.alloc(0), "}"]
    assert.strictEqual(await read(textFrame(parts)), '{"é":"✉ 𝄞"}')
  })

  it("in pieces has the same bytes, without a copy of the large parts", () => {
    for (const length of [0, 1, 125, 126, 65_535, 65_536, 1_000_000]) {
      const [text, bytes] = ["é".repeat(length / 4), Buffer.alloc(length, "x")]
      const pieces = textFrameInPieces([text, bytes, text])
      assert.isTrue(Buffer.concat(pieces).equals(textFrame([text, bytes, text])))
      assert.strictEqual(pieces.includes(bytes), length >= 65_536)
    }
  })
})
