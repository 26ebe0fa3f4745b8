/**
 * The ids of Verdant's entities: `collection/document` for the root of a document, and `collection/document:part` for each
 * object and list in it. In the names of collections and documents, `/`, `:` and `.` are written `&slash;`, `&colon;` and
 * `&dot;`. A document may have any name, also `__proto__`, so use a Map wherever an id is a key.
 */
import { Schema } from "effect"

/** Characters of an id. A database's index takes keys of at most about 2,700 bytes. */
const MAX_LENGTH = 512

/**
 * No control characters and no lone surrogates, which databases refuse in text. A `.` before the `:` starts the path that old
 * clients wrote there.
 */
const pattern = /^[^/:.\p{Cc}\p{Cs}]+\/[^:.\p{Cc}\p{Cs}][^:\p{Cc}\p{Cs}]*(?::[^\p{Cc}\p{Cs}]+)?$/u

export const Oid = Schema.String.check(Schema.isMaxLength(MAX_LENGTH), Schema.isPattern(pattern)).pipe(
  Schema.brand("Oid")
)
export type Oid = typeof Oid.Type

export const isOid = (value: unknown): value is Oid =>
  typeof value === "string" && value.length <= MAX_LENGTH && pattern.test(value)

/** The id of the root of an entity's document. */
export const rootOf = (oid: Oid): Oid => {
  const end = oid.search(/[:.]/)
  return end === -1 ? oid : (oid.slice(0, end) as Oid)
}

/** Whether the entity is the root of its document. */
export const isRoot = (oid: Oid): boolean => rootOf(oid).length === oid.length

/** The collection's name, as the app knows it. */
export const collectionOf = (oid: Oid): string => unescaped(oid.slice(0, oid.indexOf("/")))

/** The document's primary key, as the app knows it. */
export const documentIdOf = (oid: Oid): string => unescaped(rootOf(oid).slice(oid.indexOf("/") + 1))

/** The id of a document's root; undefined when a name is empty, too long, or has characters that no name may have. */
export const rootOid = (collection: string, documentId: string): Oid | undefined => {
  const oid = `${escaped(collection)}/${escaped(documentId)}`
  return isOid(oid) ? oid : undefined
}

const escaped = (name: string): string =>
  name.replaceAll("/", "&slash;").replaceAll(":", "&colon;").replaceAll(".", "&dot;")

const unescaped = (name: string): string =>
  name.replaceAll("&slash;", "/").replaceAll("&colon;", ":").replaceAll("&dot;", ".")
