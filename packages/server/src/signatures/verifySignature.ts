/**
 * Ed25519 (RFC 8032) as libsodium has it, which is what clients check with: one that accepted more, or less, would store
 * what they refuse, and leave them with a document that they cannot load.
 */
import { createRequire } from "node:module"
import sodium from "libsodium-wrappers"

export interface SignedText {
  /** What was signed, as UTF-8; it begins with the name of the kind of message. */
  readonly text: string
  /** URL-safe base64 without padding, 64 bytes. */
  readonly signature: string
  /** URL-safe base64 without padding, 32 bytes. */
  readonly pubKey: string
}

type VerifyDetached = (signature: Uint8Array, message: Uint8Array, key: Uint8Array) => boolean

const SIGNATURE_BYTES = 64
const KEY_BYTES = 32

/** libsodium as machine code, twice as fast as WebAssembly; undefined where there is none for this platform. */
const native = (): VerifyDetached | undefined => {
  try {
    return createRequire(import.meta.url)("sodium-native").crypto_sign_verify_detached
  } catch {
    return undefined
  }
}

await sodium.ready

export const implementations: {
  readonly "libsodium-wrappers": VerifyDetached
  readonly "sodium-native": VerifyDetached | undefined
} = { "libsodium-wrappers": sodium.crypto_sign_verify_detached, "sodium-native": native() }

/** As libsodium decodes it: exactly so many bytes, in the one text that stands for them. */
const decode = (text: string, length: number): Buffer | undefined => {
  const bytes = Buffer.from(text, "base64url")
  return bytes.length === length && bytes.toString("base64url") === text ? bytes : undefined
}

interface SignedBytes extends Omit<SignedText, "text"> {
  readonly text: Uint8Array
}

const verifyBytesWith =
  (verify: VerifyDetached) =>
  ({ text, signature, pubKey }: SignedBytes): boolean => {
    const signatureBytes = decode(signature, SIGNATURE_BYTES)
    const key = decode(pubKey, KEY_BYTES)
    return signatureBytes !== undefined && key !== undefined && verify(signatureBytes, text, key)
  }

export const verifyWith = (verify: VerifyDetached) => {
  const verifyBytes = verifyBytesWith(verify)
  return (signed: SignedText): boolean => verifyBytes({ ...signed, text: Buffer.from(signed.text) })
}

const fastest = implementations["sodium-native"] ?? implementations["libsodium-wrappers"]

/** Never throws: what cannot be a signature or a key is an invalid signature. */
export const verifySignature = verifyWith(fastest)
/** The same, of a text that is UTF-8 already. */
export const verifyBytes = verifyBytesWith(fastest)
