/**
 * The access field of an operation or baseline: base64 of `u:<user>:*` makes the entity private to that user. Without one,
 * all users of the library see it. A client that has never synced does not know its user and writes a placeholder, which
 * the server replaces by the user of its session.
 */
import { type Brand, Schema } from "effect"

const ORIGINATOR = "$$_originator_$$"
/** Characters of base64: more than any user id needs. */
const MAX_LENGTH = 1200

export const isAuthz = (key: unknown): key is Authz =>
  typeof key === "string" && key.length <= MAX_LENGTH && readSubject(key) !== undefined

export const Authz = Schema.String.check(Schema.makeFilter((key) => isAuthz(key))).pipe(Schema.brand("Authz"))
export type Authz = string & Brand.Brand<"Authz">

/** The access field that makes an entity private to a user. */
export const onlyUser = (userId: string): Authz => Buffer.from(`u:${userId}:*`).toString("base64") as Authz

/** The user to whom the entity is private. */
export const subjectOf = (key: Authz): string => readSubject(key) ?? ""

/** Whether a user may see an entity with this access field. */
export const isFor = (key: Authz | undefined, userId: string): boolean => key === undefined || subjectOf(key) === userId

const originator = onlyUser(ORIGINATOR)

/** The access field with this user in place of the placeholder. Other fields stay as they are. */
export const withOriginator = (key: Authz, userId: string): Authz => (key === originator ? onlyUser(userId) : key)

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The user in an access field; undefined when it is malformed. A user id may contain a colon. */
const readSubject = (key: string): string | undefined => {
  const bytes = Buffer.from(key, "base64")
  if (bytes.toString("base64") !== key) return undefined
  const text = textOf(bytes)
  const isWhole = text.length > "u::*".length && text.startsWith("u:") && text.endsWith(":*")
  return isWhole ? text.slice(2, -2) : undefined
}

/** Decodes UTF-8, or else Latin-1: a browser's `btoa` writes one byte per character. */
const textOf = (bytes: Buffer): string => {
  try {
    return utf8.decode(bytes)
  } catch {
    return bytes.toString("latin1")
  }
}
