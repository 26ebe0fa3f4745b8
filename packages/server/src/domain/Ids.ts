/** Ids of libraries, documents, authors, snapshots and files. Each is checked once, where bytes enter, and trusted after. */
import { Schema } from "effect"

/** A tenant: the unit of tokens and eviction. 1–200 printable characters, not starting with `@`. */
export const LibraryId = Schema.String.check(Schema.isPattern(/^(?!@)[^\p{C}\p{Z}/]{1,200}$/u)).pipe(
  Schema.brand("LibraryId")
)
export type LibraryId = typeof LibraryId.Type

/** A user, as a token names it: 1–200 characters of well-formed Unicode, no control characters. */
export const UserId = Schema.String.check(Schema.isMaxLength(200), Schema.isPattern(/^[^\p{Cc}\p{Cs}]+$/u))
export type UserId = typeof UserId.Type

/** A text that an issuer chooses, such as a role: up to 200 characters of well-formed Unicode, no control characters. */
export const ClaimText = Schema.String.check(Schema.isMaxLength(200), Schema.isPattern(/^[^\p{Cc}\p{Cs}]*$/u))

/**
 * A character that the URL parsers of clients encode in a path (WHATWG URL, path percent-encode set): a space, one of
 * `"<>^`{}`, or one beyond ASCII.
 */
const ENCODED_CHARACTER =
  /%(?:20|22|3C|3E|5E|60|7B|7D)|%[CD][0-9A-F]%[89AB][0-9A-F]|%E[0-9A-F](?:%[89AB][0-9A-F]){2}|%F[0-4](?:%[89AB][0-9A-F]){3}/g

const decodeCharacter = (encoded: string): string => {
  try {
    return decodeURIComponent(encoded)
  } catch {
    // Not UTF-8, so no URL parser has encoded it.
    return encoded
  }
}

/**
 * Decodes the characters that a client's URL parser has encoded, and no other escapes: `100%` and `a%2Fb` stay. An id and
 * its form in a URL give the same text, so both name the same document. Decoding twice changes nothing more.
 */
export const decodeDocumentId = (text: string): string =>
  text.includes("%") ? text.replace(ENCODED_CHARACTER, decodeCharacter) : text

/** A segment that URL parsers take for the folder itself, or the one above, and remove. */
const DOT_SEGMENT = /(?:^|\/)(?:\.|%2[eE]){1,2}(?:\/|$)/

/**
 * A Secsync document, and the stream of its events: 1–200 characters that a URL's path carries, in the form of
 * `decodeDocumentId`. Not allowed are control characters, `?`, `#`, `\`, the segments `.` and `..`, and a `/` or `@` at the
 * beginning: `@` is reserved for the server's own streams.
 */
export const DocumentId = Schema.String.check(
  Schema.isPattern(/^(?![@/])[^\p{Cc}\p{Cs}?#\\]{1,200}$/u),
  Schema.makeFilter((id) => !DOT_SEGMENT.test(id) && decodeDocumentId(id) === id, {
    expected: "an id that a URL's path carries"
  })
).pipe(Schema.brand("DocumentId"))
export type DocumentId = typeof DocumentId.Type

/** 32 bytes in URL-safe base64 without padding: BLAKE2b-256 digests and Ed25519 public keys. */
const BASE64URL_32 = /^[A-Za-z0-9_-]{43}$/
const base64url32 = Schema.isPattern(BASE64URL_32)

/** BLAKE2b-256, URL-safe base64 without padding. */
export const Hash = Schema.String.check(base64url32).pipe(Schema.brand("Hash"))
export type Hash = typeof Hash.Type

/** An author's Ed25519 public key. The exact shape keeps names like `constructor` out of every map keyed by it. */
export const PublicKey = Schema.String.check(base64url32).pipe(Schema.brand("PublicKey"))
export type PublicKey = typeof PublicKey.Type

/** The schema's check, without the schema: most messages are updates, which are checked by hand. */
export const isPublicKey = (value: unknown): value is PublicKey => typeof value === "string" && BASE64URL_32.test(value)

const SNAPSHOT_ID = /^[A-Za-z0-9_-]{1,64}$/
/** A snapshot's id, chosen by its author. */
export const SnapshotId = Schema.String.check(Schema.isPattern(SNAPSHOT_ID)).pipe(Schema.brand("SnapshotId"))
export type SnapshotId = typeof SnapshotId.Type

export const isSnapshotId = (value: unknown): value is SnapshotId =>
  typeof value === "string" && SNAPSHOT_ID.test(value)

/** A file, chosen by the client that uploads it (Verdant makes cuids). */
export const FileId = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_-]{1,128}$/)).pipe(Schema.brand("FileId"))
export type FileId = typeof FileId.Type

/** Position of an update among one author's updates to one snapshot: 0, 1, 2 … */
export const UpdateClock = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))

/** An update's clock, or a size. */
export const isNatural = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0

/**
 * Clocks by author. Not a Record with branded keys: that drops malformed keys instead of refusing them, and the server would
 * then compare other clocks than the author signed.
 */
export const UpdateClocks = Schema.Record(Schema.String, UpdateClock).check(Schema.isPropertyNames(PublicKey))
