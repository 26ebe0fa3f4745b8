/** Changes real samples, by their bytes, by their tokens, and as JSON. */
import type { Random } from "../../test/support/random.ts"
import { chance, few, oneOf } from "./choose.ts"
import { hostileJson } from "./hostile.ts"

/** No mutation makes an input longer than this, in bytes. */
const MAX_LENGTH = 1024 * 1024
/** The most mutations of one input. */
const MAX_MUTATIONS = 8

type Sample = string | Uint8Array

/** A sample with a few mutations of its bytes and tokens. Now and then it is the sample itself. */
export const mutate = (random: Random, samples: ReadonlyArray<Sample>): Uint8Array => {
  let bytes = asBuffer(oneOf(random, samples))
  if (chance(random, 2)) return bytes
  for (let left = few(random, MAX_MUTATIONS); left > 0; left--) {
    const changed = oneOf(random, MUTATIONS)(random, bytes, samples)
    if (changed.length <= MAX_LENGTH) bytes = changed
  }
  return bytes
}

/** The text of a JSON value with a few of its values replaced, removed, added or renamed. */
export const mutateJson = (random: Random, value: unknown): string => {
  let text = JSON.stringify(value)
  for (let left = few(random, MAX_MUTATIONS); left > 0; left--) {
    const places = tokensOf(text)
    if (places.length === 0) return text
    const { start, end } = oneOf(random, places)
    const replaced = text.slice(0, start) + hostileJson(random) + text.slice(end)
    if (replaced.length <= MAX_LENGTH) text = chance(random, 85) ? replaced : withKey(random, text)
  }
  return text
}

/** Half of the inputs as JSON, half as bytes. */
export const mutateMessage = (random: Random, samples: ReadonlyArray<object>): Uint8Array =>
  chance(random, 60)
    ? Buffer.from(mutateJson(random, oneOf(random, samples)))
    : mutate(
        random,
        samples.map((value) => JSON.stringify(value))
      )

type Mutation = (random: Random, bytes: Buffer, samples: ReadonlyArray<Sample>) => Buffer

const asBuffer = (sample: Sample): Buffer => (typeof sample === "string" ? Buffer.from(sample) : Buffer.from(sample))

const BYTES = [0, 1, 9, 10, 13, 32, 34, 37, 38, 44, 45, 46, 47, 58, 61, 63, 91, 92, 93, 123, 125, 127, 128, 192, 255]

const span = (random: Random, { length }: Buffer, most: number): readonly [start: number, end: number] => {
  const start = random.next(length + 1)
  return [start, Math.min(length, start + random.next(most) + 1)]
}

const spliced = (bytes: Buffer, start: number, end: number, between: Buffer): Buffer =>
  Buffer.concat([bytes.subarray(0, start), between, bytes.subarray(end)])

const withByte = (random: Random, bytes: Buffer, change: (byte: number) => number): Buffer => {
  if (bytes.length === 0) return bytes
  const changed = Buffer.from(bytes)
  const at = random.next(bytes.length)
  changed[at] = change(bytes[at]!)
  return changed
}

const MUTATIONS: ReadonlyArray<Mutation> = [
  (random, bytes) => withByte(random, bytes, (byte) => byte ^ (1 << random.next(8))),
  (random, bytes) => withByte(random, bytes, () => oneOf(random, BYTES)),
  (random, bytes) => withByte(random, bytes, () => random.next(256)),
  // Inserts a byte, deletes a span, repeats a span, or cuts the end off.
  (random, bytes) => {
    const at = random.next(bytes.length + 1)
    return spliced(bytes, at, at, Buffer.of(oneOf(random, BYTES)))
  },
  (random, bytes) => spliced(bytes, ...span(random, bytes, 20), Buffer.alloc(0)),
  (random, bytes) => {
    const [start, end] = span(random, bytes, 64)
    const times = oneOf(random, [1, 2, 10, 200])
    return spliced(bytes, end, end, Buffer.concat(Array.from({ length: times }, () => bytes.subarray(start, end))))
  },
  (random, bytes) => bytes.subarray(0, random.next(bytes.length + 1)),
  // Replaces a span by one of another sample.
  (random, bytes, samples) => {
    const other = asBuffer(oneOf(random, samples))
    return spliced(bytes, ...span(random, bytes, 40), other.subarray(...span(random, other, 200)))
  },
  // Replaces a token, or moves one to another place.
  (random, bytes) => onTokens(random, bytes, () => hostileJson(random)),
  (random, bytes) => onTokens(random, bytes, () => hostileJson(random)),
  (random, bytes) => onTokens(random, bytes, (_, another) => another),
  (random, bytes) => onTokens(random, bytes, (token, another) => `${token}${another}`),
  (random, bytes) => onTokens(random, bytes, () => "")
]

/** latin1 keeps every byte. */
const onTokens = (random: Random, bytes: Buffer, replace: (token: string, another: string) => string): Buffer => {
  const text = bytes.toString("latin1")
  const places = tokensOf(text)
  if (places.length === 0) return bytes
  const [{ start, end }, other] = [oneOf(random, places), oneOf(random, places)]
  const replaced = replace(text.slice(start, end), text.slice(other.start, other.end))
  return Buffer.from(text.slice(0, start) + replaced + text.slice(end), "latin1")
}

const token = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|[A-Za-z_]+|[^\s\w]/g
/** Tokens are looked for in this much of a text. */
const LOOKED_AT = 20_000

const tokensOf = (text: string) =>
  Array.from(text.slice(0, LOOKED_AT).matchAll(token), ({ index, 0: { length } }) => ({
    start: index,
    end: index + length
  }))

const KEYS = ["__proto__", "constructor", "toJSON", "type", "length", "", "\u0000", "a".repeat(300)]

/** Adds a key to an object. The same key may be there already. */
const withKey = (random: Random, text: string): string => {
  const braces = Array.from(text.matchAll(/\{/g), ({ index }) => index + 1)
  if (braces.length === 0) return text
  const at = oneOf(random, braces)
  const comma = text[at] === "}" ? "" : ","
  const entry = `${JSON.stringify(oneOf(random, KEYS))}:${hostileJson(random)}${comma}`
  return text.slice(0, at) + entry + text.slice(at)
}
