/** A name that a client has chosen, for a log line: in quotes, escaped, and not too long. An id has at most 400 UTF-16 units. */
export const shownName = (name: string): string => JSON.stringify(name.slice(0, MAX_SHOWN))

const MAX_SHOWN = 500
