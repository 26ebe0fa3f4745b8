/**
 * One WebSocket text frame as it goes over the wire (RFC 6455 section 5.2): a server's frames are not masked, so it is
 * made once, whoever it is sent to.
 */
export type Frame = Uint8Array

const FINAL_TEXT = 0x81

/** Of the parts one after the other; what is bytes already is UTF-8, and is copied once. */
export const textFrame = (parts: ReadonlyArray<string | Uint8Array>): Frame => {
  let length = 0
  for (const part of parts) length += typeof part === "string" ? Buffer.byteLength(part) : part.length
  const header = length < 126 ? 2 : length < 65_536 ? 4 : 10
  const frame = Buffer.allocUnsafe(header + length)
  frame[0] = FINAL_TEXT
  if (header === 2) {
    frame[1] = length
  } else if (header === 4) {
    frame[1] = 126
    frame.writeUInt16BE(length, 2)
  } else {
    frame[1] = 127
    frame.writeUInt32BE(Math.floor(length / 2 ** 32), 2)
    frame.writeUInt32BE(length >>> 0, 6)
  }
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
