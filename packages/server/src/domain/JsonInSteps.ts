/**
 * Reads and writes large JSON in steps, with the results of `JSON.parse` and `JSON.stringify`. An array or an object that is
 * long is read item by item; its items are parsed by the engine, many at once. Only one long string is a long step.
 */
import { STEP_ITEMS, type Steps } from "./Steps.ts"

/** Bytes that are parsed at once. */
const CHUNK = 64 * 1024

const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a] as const
const [OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [0x5b, 0x5d, 0x7b, 0x7d] as const

/** A library's items are in its second level, and those of an object in its fourth. Below, a value is parsed at once. */
const MAX_LEVELS = 6

/** Throws a `SyntaxError` as `JSON.parse` does. */
export const parsed = (bytes: Buffer): Steps<unknown> => parsedRange(bytes, { start: 0, end: bytes.length }, 0)

interface Range {
  readonly start: number
  readonly end: number
}

const parsedRange = function* (bytes: Buffer, range: Range, level: number): Steps<unknown> {
  const { end, start } = trimmed(bytes, range)
  const first = bytes[start]
  const isNested = first === OPEN_BRACKET || first === OPEN_BRACE
  if (end - start <= CHUNK || !isNested || level === MAX_LEVELS) return JSON.parse(bytes.toString("utf8", start, end))
  if (bytes[end - 1] !== (first === OPEN_BRACKET ? CLOSE_BRACKET : CLOSE_BRACE)) throw notJson()
  const inside = { start: start + 1, end: end - 1 }
  return first === OPEN_BRACKET
    ? yield* parsedList(bytes, inside, level + 1)
    : yield* parsedObject(bytes, inside, level + 1)
}

const parsedList = function* (bytes: Buffer, range: Range, level: number): Steps<unknown> {
  const list: Array<unknown> = []
  for (const part of partsOf(bytes, range)) {
    yield
    if (part === undefined) continue
    const { end, isLong, start } = part
    if (isLong) list.push(yield* parsedRange(bytes, part, level))
    else for (const item of JSON.parse(`[${bytes.toString("utf8", start, end)}]`)) list.push(item)
  }
  return list
}

const parsedObject = function* (bytes: Buffer, range: Range, level: number): Steps<unknown> {
  const object: Record<string, unknown> = {}
  const put = (name: string, value: unknown): void => {
    if (name === "__proto__") {
      Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true })
    } else object[name] = value
  }
  for (const part of partsOf(bytes, range)) {
    yield
    if (part === undefined) continue
    const { end, isLong, start } = part
    if (isLong) {
      const colon = colonAfter(bytes, start, end)
      const [name] = Object.keys(JSON.parse(`{${bytes.toString("utf8", start, colon)}:0}`))
      put(name!, yield* parsedRange(bytes, { start: colon + 1, end }, level))
    } else {
      const fields = JSON.parse(`{${bytes.toString("utf8", start, end)}}`)
      for (const name of Object.keys(fields)) put(name, fields[name])
    }
  }
  return object
}

interface Part extends Range {
  /** One item that is longer than a chunk; else a part is as many items as a chunk holds. */
  readonly isLong: boolean
}

/** The items between two brackets, with the commas between those of one part. Yields undefined after a while without a part. */
const partsOf = function* (bytes: Buffer, range: Range): Generator<Part | undefined, void, void> {
  const { end: to, start: from } = range
  let [partStart, itemStart] = [from, from]
  let depth = 0
  let at = from
  let isInString = false
  const part = (end: number): ReadonlyArray<Part> => {
    if (end - itemStart <= CHUNK) return [{ start: partStart, end, isLong: false }]
    const before = { start: partStart, end: itemStart - 1, isLong: false }
    return [...(itemStart > partStart ? [before] : []), { start: itemStart, end, isLong: true }]
  }
  let looked = 0
  while (at < to) {
    if (++looked % CHUNK === 0) yield
    if (isInString) {
      const quote = bytes.indexOf(QUOTE, at)
      if (quote === -1 || quote >= to) throw notJson()
      isInString = isEscaped(bytes, quote)
      at = quote + 1
      continue
    }
    const byte = bytes[at]!
    if (byte === QUOTE) isInString = true
    else if (byte === OPEN_BRACKET || byte === OPEN_BRACE) depth += 1
    else if (byte === CLOSE_BRACKET || byte === CLOSE_BRACE) depth -= 1
    else if (byte === COMMA && depth === 0) {
      if (at - partStart > CHUNK) {
        yield* part(at)
        partStart = at + 1
      }
      itemStart = at + 1
    }
    if (depth < 0) throw notJson()
    at += 1
  }
  if (depth !== 0 || isInString) throw notJson()
  const { start } = trimmed(bytes, { start: partStart, end: to })
  if (start < to) yield* part(to)
  else if (partStart > from) throw notJson()
}

const isEscaped = (bytes: Buffer, quote: number): boolean => {
  let slashes = 0
  while (bytes[quote - 1 - slashes] === BACKSLASH) slashes += 1
  return slashes % 2 === 1
}

/** The colon behind the name of an object's member. */
const colonAfter = (bytes: Buffer, from: number, to: number): number => {
  let at = bytes.indexOf(QUOTE, from)
  do at = bytes.indexOf(QUOTE, at + 1)
  while (at !== -1 && at < to && isEscaped(bytes, at))
  const colon = at === -1 ? -1 : bytes.indexOf(COLON, at)
  if (colon === -1 || colon >= to) throw notJson()
  return colon
}

const isSpace = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09

const trimmed = (bytes: Buffer, range: Range): Range => {
  let { end, start } = range
  while (start < end && isSpace(bytes[start])) start += 1
  while (start < end && isSpace(bytes[end - 1])) end -= 1
  return { start, end }
}

const notJson = () => new SyntaxError("The bytes are not JSON")

/** The JSON of a value that came from JSON. */
export const stringified = function* (value: unknown): Steps<string> {
  if (!isObject(value)) return JSON.stringify(value)
  if (Array.isArray(value)) {
    if (value.length <= FEW && !value.some(isObject)) return JSON.stringify(value)
    return `[${yield* joined(value, (item) => (isObject(item) ? stringified(item) : JSON.stringify(item)))}]`
  }
  const fields = value as Readonly<Record<string, unknown>>
  const names = Object.keys(fields)
  if (names.length <= FEW && !names.some((name) => isObject(fields[name]))) return JSON.stringify(value)
  const fieldOf = function* (name: string): Steps<string> {
    return `${JSON.stringify(name)}:${yield* stringified(fields[name])}`
  }
  const texts = yield* joined(names, (name) =>
    isObject(fields[name]) ? fieldOf(name) : `${JSON.stringify(name)}:${JSON.stringify(fields[name])}`
  )
  return `{${texts}}`
}

/** The items' texts with commas between them. */
const joined = function* <A>(items: ReadonlyArray<A>, textOf: (item: A) => string | Steps<string>): Steps<string> {
  const chunks: Array<string> = []
  let texts: Array<string> = []
  for (const item of items) {
    const text = textOf(item)
    texts.push(typeof text === "string" ? text : yield* text)
    if (texts.length < STEP_ITEMS) continue
    chunks.push(texts.join())
    texts = []
    yield
  }
  if (texts.length > 0) chunks.push(texts.join())
  return chunks.join()
}

/** Items that are written at once, if none of them has items of its own. */
const FEW = 50

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null
