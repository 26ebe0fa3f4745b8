/**
 * The names of Verdant's entities: `collection/document` for the root of a document and `collection/document:part` for
 * each object and list inside it. `/`, `:` and `.` within the names of collections and documents are written `&slash;`,
 * `&colon;` and `&dot;`. Anything may be a document's name, `__proto__` too: what is keyed by one is a Map.
 */
import { Schema } from "effect"

/** Of any name; a database's index takes keys of no more than some 2,700 bytes. */
const MAX_LENGTH = 512

/**
 * No control characters and no halves of surrogate pairs, which databases refuse in text. A `.` before the `:` begins
 * the path that old clients wrote there.
 */
const pattern = /^[^/:.\p{Cc}\p{Cs}]+\/[^:.\p{Cc}\p{Cs}][^:\p{Cc}\p{Cs}]*(?::[^\p{Cc}\p{Cs}]+)?$/u

export const Oid = Schema.String.check(Schema.isMaxLength(MAX_LENGTH), Schema.isPattern(pattern)).pipe(
  Schema.brand("Oid")
)
export type Oid = typeof Oid.Type

export const isOid = (value: unknown): value is Oid =>
  typeof value === "string" && value.length <= MAX_LENGTH && pattern.test(value)

/** The root of the document that an entity is part of. */
export const rootOf = (oid: Oid): Oid => {
  const end = oid.search(/[:.]/)
  return end === -1 ? oid : (oid.slice(0, end) as Oid)
}

export const isRoot = (oid: Oid): boolean => rootOf(oid).length === oid.length

export const collectionOf = (oid: Oid): string => unescaped(oid.slice(0, oid.indexOf("/")))

/** The document's primary key, as the app knows it. */
export const documentIdOf = (oid: Oid): string => unescaped(rootOf(oid).slice(oid.indexOf("/") + 1))

/** Undefined when a name is too long, or has what no name may have. */
export const rootOid = (collection: string, documentId: string): Oid | undefined => {
  const oid = `${escaped(collection)}/${escaped(documentId)}`
  return isOid(oid) ? oid : undefined
}

const escaped = (name: string): string =>
  name.replaceAll("/", "&slash;").replaceAll(":", "&colon;").replaceAll(".", "&dot;")

const unescaped = (name: string): string =>
  name.replaceAll("&slash;", "/").replaceAll("&colon;", ":").replaceAll("&dot;", ".")
