/**
 * Estimates how many values a JSON text holds, before it is parsed. Parsed values can take far more memory than their text:
 * an empty object is two characters and 56 bytes.
 */

const [QUOTE, COMMA, BRACKET, BRACE, BACKSLASH] = ['"', ",", "[", "{", "\\"].map((text) => text.charCodeAt(0))

/**
 * Whether a JSON text has at most `max` commas and opening brackets outside of its strings. The result for a text that is
 * not JSON is arbitrary.
 */
export const hasFewValues = (text: string, max: number): boolean => {
  // Each comma and bracket is a character.
  if (text.length <= max) return true
  let count = 0
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case QUOTE:
        i = endOfString(text, i)
        break
      case COMMA:
      case BRACKET:
      case BRACE:
        count += 1
        if (count > max) return false
    }
  }
  return true
}

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
