/** BLAKE2b-256, as Secsync uses it (RFC 7693; libsodium `crypto_generichash`), in URL-safe base64. */
import sodium from "libsodium-wrappers"
import type { Hash } from "./Ids.ts"

// libsodium is WebAssembly: usable only once compiled, so whoever imports this module can call it at once.
await sodium.ready

/** Digest of text (as UTF-8) or of bytes. */
export const blake2b256 = (input: string | Uint8Array): Hash =>
  sodium.crypto_generichash(32, input, null, "base64") as Hash
