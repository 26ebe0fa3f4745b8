/**
 * Large frames are put together and unmasked while they arrive. `ws` does both at their end, byte by byte: the event loop stands
 * still for some 40 ms for 20 MB. Its addon `bufferutil` would be faster, but has an install script, at which pnpm stops.
 */
import type { WebSocket } from "ws"
import { LARGE_FRAME_BYTES } from "../../protocols/ProtocolSession.ts"

/** The parts of the receiver of `ws` that read a frame's payload. `ws` has no public way to. */
interface Receiver {
  /** Chunks of the socket that are not read yet, and their bytes together. */
  readonly _buffers: Array<Buffer>
  _bufferedBytes: number
  /** Of the frame that arrives; the mask is undefined between two frames. */
  readonly _payloadLength: number
  readonly _masked: boolean
  _mask: Buffer | undefined
  _loop: boolean
  /** Takes bytes of `_buffers`. */
  readonly consume: (bytes: number) => Buffer
  /** Reads a frame's payload if all of it has arrived. */
  getData: (next: (error?: Error) => void) => void
}

/** Unmasking with this one changes nothing. */
const NO_MASK = Buffer.alloc(4)

export const readLargePayloads = (ws: WebSocket): void => {
  const receiver = (ws as unknown as { readonly _receiver: Receiver })._receiver
  receiver.getData = readPayload
}

/** The payloads that are arriving: "announced" until the next chunk, before which `ArrivingMessage` reserves room or stops reading. */
const arriving = new WeakMap<Receiver, Payload | "announced">()

interface Payload {
  /** It has memory of its own, so that a thread can take it over. */
  readonly bytes: Buffer
  filled: number
}

function readPayload(this: Receiver, next: (error?: Error) => void): void {
  if (this._payloadLength >= LARGE_FRAME_BYTES && this._masked && !takeArrived(this)) {
    this._loop = false
    return
  }
  const { getData }: Receiver = Object.getPrototypeOf(this)
  getData.call(this, next)
}

/** Whether all of a payload has arrived. Its bytes are then the receiver's first chunk, and unmasked. */
const takeArrived = (receiver: Receiver): boolean => {
  const before = arriving.get(receiver)
  if (before === undefined && receiver._bufferedBytes < receiver._payloadLength) {
    arriving.set(receiver, "announced")
    return false
  }
  const payload =
    before === undefined || before === "announced"
      ? { bytes: Buffer.allocUnsafeSlow(receiver._payloadLength), filled: 0 }
      : before
  arriving.set(receiver, payload)
  fill(receiver, payload)
  const { bytes, filled } = payload
  if (filled < bytes.length) return false
  arriving.delete(receiver)
  receiver._buffers.unshift(bytes)
  receiver._bufferedBytes += bytes.length
  receiver._mask = NO_MASK
  return true
}

/** Takes what has arrived of the payload. */
const fill = (receiver: Receiver, payload: Payload): void => {
  const { bytes } = payload
  while (payload.filled < bytes.length && receiver._bufferedBytes > 0) {
    const missing = bytes.length - payload.filled
    const piece = receiver.consume(Math.min(receiver._buffers[0]!.length, missing))
    bytes.set(piece, payload.filled)
    unmask(bytes, payload.filled, payload.filled + piece.length, receiver._mask!)
    payload.filled += piece.length
  }
}

/** Unmasks the bytes of a payload between two places (RFC 6455 section 5.3), four at a time. */
const unmask = (payload: Buffer, start: number, end: number, mask: Buffer): void => {
  const [first, last] = [Math.min(end, (start + 3) & ~3), Math.max(start, end & ~3)]
  for (let i = start; i < first; i++) payload[i]! ^= mask[i & 3]!
  if (first < last) {
    const words = new Int32Array(payload.buffer, payload.byteOffset + first, (last - first) >> 2)
    const word = new Int32Array(Uint8Array.from(mask).buffer)[0]!
    for (let i = 0; i < words.length; i++) words[i]! ^= word
  }
  for (let i = Math.max(first, last); i < end; i++) payload[i]! ^= mask[i & 3]!
}
