/** Lines out of the bytes of a file or a pipe, of which no more is kept than the line that is not at its end yet. */

/** Takes chunks, and gives the lines that end in each. `isTooLong`: what is kept is longer than `maxBytes`. */
export const makeLines = (maxBytes: number) => {
  let parts: Array<Uint8Array> = []
  let length = 0

  const keep = (part: Uint8Array): void => {
    parts.push(part)
    length += part.length
  }

  /** What came after the last line's end. */
  const rest = (): string => {
    const text = Buffer.concat(parts).toString()
    parts = []
    length = 0
    return text
  }

  const push = (chunk: Uint8Array): ReadonlyArray<string> => {
    const lines: Array<string> = []
    let from = 0
    while (true) {
      const end = chunk.indexOf(LINE_FEED, from)
      keep(chunk.subarray(from, end < 0 ? undefined : end))
      if (end < 0 || length > maxBytes) return lines
      lines.push(rest())
      from = end + 1
    }
  }

  return { push, rest, isTooLong: () => length > maxBytes }
}

const LINE_FEED = 0x0a
