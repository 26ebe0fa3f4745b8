/**
 * Splits chunks of bytes into lines, and keeps only the line that has not ended yet. `push` returns the lines that end in a
 * chunk; `rest` returns the text after the last line's end. `isTooLong` says that the kept line exceeds `maxBytes`.
 */
export const makeLines = (maxBytes: number) => {
  let parts: Array<Uint8Array> = []
  let length = 0

  const keep = (part: Uint8Array): void => {
    parts.push(part)
    length += part.length
  }

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
