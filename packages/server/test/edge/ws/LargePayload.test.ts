/** Large frames arrive as they were sent, whatever chunks the network makes of them. */
import type { Writable } from "node:stream"
import { assert, describe, it } from "@effect/vitest"
import { readLargePayloads } from "@sealog/server/edge/ws/LargePayload"
import { LARGE_FRAME_BYTES } from "@sealog/server/protocols/ProtocolSession"
import fc from "fast-check"
import * as ws from "ws"

/** The parts of `ws` that read and write frames, of which its types say nothing. */
const { Receiver, Sender } = ws as unknown as {
  readonly Receiver: new (options: object) => Writable
  readonly Sender: { readonly frame: (data: Buffer, options: object) => Array<Buffer> }
}

const text = (length: number): Buffer => Buffer.from("grüße-".repeat(Math.ceil(length / 8))).subarray(0, length)

/** The bytes of a text frame as a client sends it. */
const frameOf = (payload: Buffer, fin = true, opcode = 1): Buffer => {
  return Buffer.concat(Sender.frame(payload, { fin, opcode, rsv1: false, mask: true, readOnly: true }))
}

/** The texts that a receiver makes of the chunks. */
const receive = async (bytes: Buffer, chunks: ReadonlyArray<number>): Promise<ReadonlyArray<Buffer>> => {
  const receiver = new Receiver({ isServer: true, skipUTF8Validation: true })
  readLargePayloads({ _receiver: receiver } as unknown as ws.WebSocket)
  const received: Array<Buffer> = []
  receiver.on("message", (data: Buffer) => received.push(data))
  for (let at = 0, i = 0; at < bytes.length; i += 1) {
    const end = at + chunks[i % chunks.length]!
    await new Promise((resolve) => receiver.write(Buffer.from(bytes.subarray(at, end)), resolve))
    at = end
  }
  return received
}

describe("large frames", () => {
  it("arrive as they were sent, between small ones", async () => {
    const sizes = [0, 5, 200, LARGE_FRAME_BYTES - 1, LARGE_FRAME_BYTES, LARGE_FRAME_BYTES + 3, 700_001]
    const lengths = fc.array(fc.constantFrom(...sizes), { minLength: 1, maxLength: 5 })
    const chunks = fc.array(fc.integer({ min: 1, max: 300_000 }), { minLength: 1, maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(lengths, chunks, async (lengths, chunks) => {
        fc.pre(Math.max(...chunks) > 5000)
        const texts = lengths.map(text)
        const received = await receive(Buffer.concat(texts.map((each) => frameOf(each))), chunks)
        assert.isTrue(received.length === texts.length && received.every((each, i) => each.equals(texts[i]!)))
      }),
      { numRuns: 50 }
    )
  })

  it("may be fragments of one message", async () => {
    const all = text(3 * LARGE_FRAME_BYTES + 11)
    const [first, second] = [all.subarray(0, LARGE_FRAME_BYTES + 1), all.subarray(LARGE_FRAME_BYTES + 1)]
    const bytes = Buffer.concat([frameOf(first, false), frameOf(second, true, 0)])
    const [received, ...more] = await receive(bytes, [65_536, 7])
    assert.isTrue(received?.equals(all))
    assert.lengthOf(more, 0)
  })

  it("own their memory, which a thread can take over", async () => {
    const [received] = await receive(frameOf(text(LARGE_FRAME_BYTES)), [65_536])
    assert.strictEqual(received?.buffer.byteLength, LARGE_FRAME_BYTES)
  })
})
