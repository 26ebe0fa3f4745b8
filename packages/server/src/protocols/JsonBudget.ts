/**
 * Estimates what a JSON text is once it is parsed, before it is. Parsed values can take far more memory than their text: an empty
 * object is two characters and 56 bytes.
 */

const codeOf = (character: string): number => character.charCodeAt(0)

const [QUOTE, COMMA, COLON, BACKSLASH] = [codeOf('"'), codeOf(","), codeOf(":"), codeOf("\\")]
const [BRACKET, BRACE, SPACE] = [codeOf("["), codeOf("{"), codeOf(" ")]
const [ZERO, NINE] = [codeOf("0"), codeOf("9")]

interface Weights {
  readonly item: number
  readonly list: number
  readonly object: number
  readonly name: number
  /** A field whose name may be an index, which V8 keeps in a dictionary. */
  readonly index: number
}

const COUNTS: Weights = { item: 1, list: 1, object: 1, name: 0, index: 0 }

/** Bytes at most; measured with Node 26. Each field and item but the first has a comma. */
const BYTES: Weights = { item: 40, list: 64, object: 120, name: 72, index: 240 }

/**
 * Whether a JSON text has at most `max` commas and opening brackets outside of its strings. The result for a text that is
 * not JSON is arbitrary.
 */
export const hasFewValues = (text: string, max: number): boolean =>
  // Each comma and bracket is a character.
  text.length <= max || sumOf(text, COUNTS, max) <= max

/** No character of a text adds more to `parsedBytesOf` on average: the shortest text of an object with an index takes five. */
export const MOST_BYTES_OF_CHARACTER = 75

/** Bytes that a JSON text takes at most once it is parsed; arbitrary for a text that is not JSON. Stops above `max`. */
export const parsedBytesOf = (text: string, max: number): number => sumOf(text, BYTES, max - text.length) + text.length

const sumOf = (text: string, weights: Weights, max: number): number => {
  let sum = 0
  for (let i = 0; i < text.length && sum <= max; i++) {
    switch (text.charCodeAt(i)) {
      case QUOTE: {
        const end = endOfString(text, i)
        if (weights.name > 0 && isName(text, end)) sum += isIndex(text.charCodeAt(i + 1)) ? weights.index : weights.name
        i = end
        break
      }
      case COMMA:
        sum += weights.item
        break
      case BRACKET:
        sum += weights.list
        break
      case BRACE:
        sum += weights.object
    }
  }
  return sum
}

/** Whether the string that ends here is a field's name. */
const isName = (text: string, end: number): boolean => {
  let next = end + 1
  while (text.charCodeAt(next) <= SPACE) next++
  return text.charCodeAt(next) === COLON
}

/** Whether a name that begins with this character may be an index. A digit may be escaped. */
const isIndex = (first: number): boolean => (first >= ZERO && first <= NINE) || first === BACKSLASH

/** The index of the closing quote of the string that starts at `start`; the text's length if there is none. */
const endOfString = (text: string, start: number): number => {
  let end = text.indexOf('"', start + 1)
  while (end !== -1 && isEscaped(text, end)) end = text.indexOf('"', end + 1)
  return end === -1 ? text.length : end
}

/** A character is escaped if an odd number of backslashes precedes it. */
const isEscaped = (text: string, at: number): boolean => {
  let first = at
  while (text.charCodeAt(first - 1) === BACKSLASH) first -= 1
  return (at - first) % 2 === 1
}
