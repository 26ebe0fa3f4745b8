/**
 * A WebSocket text frame as it goes over the wire (RFC 6455 section 5.2). A server's frames are not masked, so that one
 * frame serves all its receivers.
 */
export type Frame = Uint8Array

const FINAL_TEXT = 0x81

/** A part of a frame's text: a string, or its UTF-8 bytes. */
export type Part = string | Uint8Array

/** Makes one frame of the parts. Bytes are copied once. */
export const textFrame = (parts: ReadonlyArray<Part>): Frame => {
  const length = lengthOf(parts)
  const header = headerLength(length)
  const frame = Buffer.allocUnsafe(header + length)
  writeHeader(frame, length)
  let offset = header
  for (const part of parts) {
    if (typeof part === "string") {
      offset += frame.write(part, offset)
    } else {
      frame.set(part, offset)
      offset += part.length
    }
  }
  return frame
}

/** Makes the same frame in pieces, to be sent one after the other. Bytes are not copied, and many frames can share them. */
export const textFrameInPieces = (parts: ReadonlyArray<Part>): ReadonlyArray<Uint8Array> => {
  const length = lengthOf(parts)
  const header = Buffer.allocUnsafe(headerLength(length))
  writeHeader(header, length)
  return [header, ...parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part))]
}

const lengthOf = (parts: ReadonlyArray<Part>): number => {
  let length = 0
  for (const part of parts) length += typeof part === "string" ? Buffer.byteLength(part) : part.length
  return length
}

const headerLength = (length: number): number => (length < 126 ? 2 : length < 65_536 ? 4 : 10)

const writeHeader = (frame: Buffer, length: number): void => {
  frame[0] = FINAL_TEXT
  if (length < 126) {
    frame[1] = length
  } else if (length < 65_536) {
    frame[1] = 126
    frame.writeUInt16BE(length, 2)
  } else {
    frame[1] = 127
    frame.writeUInt32BE(Math.floor(length / 2 ** 32), 2)
    frame.writeUInt32BE(length >>> 0, 6)
  }
}
