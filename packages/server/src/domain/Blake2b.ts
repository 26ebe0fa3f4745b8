/** BLAKE2b-256, as Secsync uses it (RFC 7693; libsodium `crypto_generichash`), in URL-safe base64. */
import type { Hash } from "./Ids.ts"
import type { Steps } from "./Steps.ts"
import { type Sodium, sodium } from "./sodium.ts"

export const blake2b256With =
  ({ hash }: Sodium) =>
  (input: string | Uint8Array): Hash => {
    return asText(hash(typeof input === "string" ? Buffer.from(input) : input))
  }

/** Digest of a text (as UTF-8) or of bytes. */
export const blake2b256 = blake2b256With(sodium)

/** Starts a digest of bytes that come piece by piece. `digest` is called once, at the end. */
export const startBlake2b256With = ({ startHash }: Sodium) => {
  return () => {
    const { update, digest } = startHash()
    return { update, digest: (): Hash => asText(digest()) }
  }
}

export const startBlake2b256 = startBlake2b256With(sodium)

/** Bytes that one step hashes: some two milliseconds. */
const STEP_BYTES = 1024 * 1024

/** `blake2b256` of many bytes. */
export const blake2b256InSteps = function* (bytes: Uint8Array): Steps<Hash> {
  if (bytes.length <= STEP_BYTES) return blake2b256(bytes)
  const { digest, update } = startBlake2b256()
  for (let from = 0; from < bytes.length; from += STEP_BYTES) {
    update(bytes.subarray(from, from + STEP_BYTES))
    yield
  }
  return digest()
}

const asText = (digest: Uint8Array): Hash =>
  Buffer.from(digest.buffer, digest.byteOffset, digest.length).toString("base64url") as Hash
