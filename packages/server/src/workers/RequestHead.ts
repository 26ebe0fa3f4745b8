/** The head of a connection's first request, from its first bytes: as much of HTTP as it takes to choose a worker. */

export interface RequestHead {
  /** The path and the query, as the client wrote them. */
  readonly url: string
  /** The value of a header by its name in lower case; several of a name are joined with commas. */
  readonly header: (name: string) => string | undefined
}

const END = Buffer.from("\r\n\r\n")
/** Header lines that are read: as many as Node's parser reads. 64 KiB have room for more, and each takes time for every client. */
const MAX_LINES = 2000

/** Collects the bytes of a connection until they hold a whole head. It looks at each byte once. */
export class HeadBytes {
  private buffer: Buffer = Buffer.alloc(0)
  private length = 0

  /** Returns whether the head is complete. */
  add(chunk: Buffer): boolean {
    const from = Math.max(0, this.length - END.length + 1)
    if (this.length === 0) this.buffer = chunk
    else {
      if (this.length + chunk.length > this.buffer.length) {
        const larger = Buffer.allocUnsafe(2 * (this.length + chunk.length))
        this.buffer.copy(larger, 0, 0, this.length)
        this.buffer = larger
      }
      chunk.copy(this.buffer, this.length)
    }
    this.length += chunk.length
    return this.all().includes(END, from)
  }

  /** Everything that has arrived, with the bytes behind the head. */
  all(): Buffer {
    return this.buffer.subarray(0, this.length)
  }
}

/**
 * Parses a head. Returns undefined if it is none. This parser is lenient, because it decides about the worker alone; the parser of
 * the worker is strict.
 */
export const parseHead = (bytes: Buffer): RequestHead | undefined => {
  const end = bytes.indexOf(END)
  const [first = "", ...lines] = bytes
    .subarray(0, end === -1 ? 0 : end)
    .toString("latin1")
    .split("\r\n", 1 + MAX_LINES)
  const url = /^[A-Z]+ (\/[^ ]*) HTTP\/1\.[01]$/.exec(first)?.[1]
  if (url === undefined) return undefined
  return {
    url,
    header: (name) => {
      const values = lines.flatMap((line) => {
        const colon = line.indexOf(":")
        return line.slice(0, colon).toLowerCase() === name ? [line.slice(colon + 1).trim()] : []
      })
      return values.length === 0 ? undefined : values.join(", ")
    }
  }
}
