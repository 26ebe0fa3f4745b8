/**
 * Whom an entity is for: base64 of `u:<user>:*`. Without one, it is for everybody in the library. A client that has never
 * synced does not know its user and writes a placeholder, which becomes the user that it turns out to be.
 */
import { type Brand, Schema } from "effect"

const ORIGINATOR = "$$_originator_$$"
/** Of base64: more than any user id needs. */
const MAX_LENGTH = 1200

export const isAuthz = (key: unknown): key is Authz =>
  typeof key === "string" && key.length <= MAX_LENGTH && readSubject(key) !== undefined

export const Authz = Schema.String.check(Schema.makeFilter((key) => isAuthz(key))).pipe(Schema.brand("Authz"))
export type Authz = string & Brand.Brand<"Authz">

export const onlyUser = (userId: string): Authz => Buffer.from(`u:${userId}:*`).toString("base64") as Authz

/** The user that the entity is for. */
export const subjectOf = (key: Authz): string => readSubject(key) ?? ""

export const isFor = (key: Authz | undefined, userId: string): boolean => key === undefined || subjectOf(key) === userId

const originator = onlyUser(ORIGINATOR)

/** The same, or for this user where its author did not know who it was. */
export const withOriginator = (key: Authz, userId: string): Authz => (key === originator ? onlyUser(userId) : key)

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** A user id may contain a colon. */
const readSubject = (key: string): string | undefined => {
  const bytes = Buffer.from(key, "base64")
  if (bytes.toString("base64") !== key) return undefined
  const text = textOf(bytes)
  const isWhole = text.length > "u::*".length && text.startsWith("u:") && text.endsWith(":*")
  return isWhole ? text.slice(2, -2) : undefined
}

/** Browsers write what is beyond ASCII by `btoa`, one byte a character; everything else writes UTF-8. */
const textOf = (bytes: Buffer): string => {
  try {
    return utf8.decode(bytes)
  } catch {
    return bytes.toString("latin1")
  }
}
