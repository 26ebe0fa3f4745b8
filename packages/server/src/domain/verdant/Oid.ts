/**
 * Verdant's object ids: `collection/document` for a document, `collection/document:part` for each object and list in it.
 * Slashes, colons and dots within names are written as `&slash;`, `&colon;` and `&dot;`.
 */
const PATTERN = /^[^/:\p{C}]{1,256}\/[^/:\p{C}]{1,512}(?::[^/:\p{C}]{1,64})?$/u

export const isOid = (value: unknown): value is string => typeof value === "string" && PATTERN.test(value)

/** The document that an object is a part of. */
export const documentOf = (oid: string): string => {
  const colon = oid.indexOf(":")
  return colon === -1 ? oid : oid.slice(0, colon)
}

/** The id of a document, of its collection's and its own name. */
export const oidOf = (collection: string, id: string): string => `${escaped(collection)}/${escaped(id)}`

const escaped = (name: string): string => name.replace(/[/:.]/g, (character) => ESCAPES[character] ?? character)

const ESCAPES: Readonly<Record<string, string>> = { "/": "&slash;", ":": "&colon;", ".": "&dot;" }
