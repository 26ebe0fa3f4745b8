/** The file of SQLite's write-ahead log, which a test tears as a power cut does (https://sqlite.org/fileformat.html#walformat). */
import { readFileSync } from "node:fs"

const [HEADER_BYTES, FRAME_HEADER_BYTES] = [32, 24] as const

export interface Frame {
  /** Its first byte in the file. */
  readonly at: number
  /** The page of the database that it holds, from 1. */
  readonly page: number
}

export interface WriteAheadLog {
  /** Another one for each time that SQLite began at the start of the file again. */
  readonly salt: string
  /** The frames since then. Older ones may follow them in the file. */
  readonly frames: ReadonlyArray<Frame>
  readonly frameBytes: number
}

export const readWriteAheadLog = (filename: string): WriteAheadLog => {
  const bytes = readFileSync(`${filename}-wal`)
  const frameBytes = FRAME_HEADER_BYTES + bytes.readUInt32BE(8)
  const saltAt = (at: number) => bytes.toString("hex", at, at + 8)
  const frames: Array<Frame> = []
  const salt = saltAt(16)
  for (let at = HEADER_BYTES; at + frameBytes <= bytes.length && saltAt(at + 8) === salt; at += frameBytes) {
    frames.push({ at, page: bytes.readUInt32BE(at) })
  }
  return { salt, frames, frameBytes }
}
