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
  writeParts(frame, header, parts)
  return frame
}

/** The same frame of `before`, `bytes` and `after`, if it is what the memory around the bytes holds: nothing is copied. */
export const frameAround = (before: string, bytes: Uint8Array, after: string): Frame | undefined => {
  const length = lengthOf([before, bytes, after])
  const header = Buffer.alloc(headerLength(length))
  const start = header.length + Buffer.byteLength(before)
  if (bytes.byteOffset !== start || bytes.buffer.byteLength !== header.length + length) return undefined
  writeHeader(header, length)
  const frame = Buffer.from(bytes.buffer)
  const isSame =
    Buffer.concat([header, Buffer.from(before)]).equals(frame.subarray(0, start)) &&
    Buffer.from(after).equals(frame.subarray(start + bytes.length))
  return isSame ? frame : undefined
}

/** Parts of at least so many bytes are shared. The memory of a shorter one is less than that of a further write. */
const SHARED_BYTES = 64 * 1024

/**
 * Makes the same frame in pieces, to be sent one after the other. Large parts are not copied, so that many frames can share
 * them. The small parts between them become one piece.
 */
export const textFrameInPieces = (parts: ReadonlyArray<Part>): ReadonlyArray<Uint8Array> => {
  const length = lengthOf(parts)
  const header = Buffer.allocUnsafe(headerLength(length))
  writeHeader(header, length)
  return piecesOf([header, ...parts])
}

/** The parts as bytes. Large parts are not copied. */
export const piecesOf = (parts: ReadonlyArray<Part>): ReadonlyArray<Uint8Array> => {
  const pieces: Array<Uint8Array> = []
  let small: Array<Part> = []
  for (const part of parts) {
    if (typeof part === "string" || part.length < SHARED_BYTES) {
      small.push(part)
    } else {
      if (small.length > 0) pieces.push(joined(small))
      pieces.push(part)
      small = []
    }
  }
  if (small.length > 0) pieces.push(joined(small))
  return pieces
}

/** The text of a frame that is given in pieces. */
export const textOfFrame = (pieces: ReadonlyArray<Uint8Array>): string => {
  const frame = Buffer.concat(pieces)
  const length = frame[1]!
  return frame.toString("utf8", length < 126 ? 2 : length === 126 ? 4 : 10)
}

const joined = (parts: ReadonlyArray<Part>): Uint8Array => {
  const bytes = Buffer.allocUnsafe(lengthOf(parts))
  writeParts(bytes, 0, parts)
  return bytes
}

/** Copies the parts into `target` from `offset` on. */
const writeParts = (target: Buffer, offset: number, parts: ReadonlyArray<Part>): void => {
  for (const part of parts) {
    if (typeof part === "string") {
      offset += target.write(part, offset)
    } else {
      target.set(part, offset)
      offset += part.length
    }
  }
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
