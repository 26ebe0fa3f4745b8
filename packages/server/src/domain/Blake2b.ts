/** BLAKE2b-256, as Secsync uses it (RFC 7693; libsodium `crypto_generichash`), in URL-safe base64. */
import type { Hash } from "./Ids.ts"
import { type Sodium, sodium } from "./sodium.ts"

export const blake2b256With =
  ({ hash }: Sodium) =>
  (input: string | Uint8Array): Hash => {
    const digest = hash(typeof input === "string" ? Buffer.from(input) : input)
    return Buffer.from(digest.buffer, digest.byteOffset, digest.length).toString("base64url") as Hash
  }

/** Digest of text (as UTF-8) or of bytes. */
export const blake2b256 = blake2b256With(sodium)
