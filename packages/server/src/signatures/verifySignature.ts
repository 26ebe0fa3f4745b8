/**
 * Ed25519 (RFC 8032) as libsodium verifies it, because clients verify with libsodium. A server that accepted more would
 * store messages that clients refuse, and leave them with a document that they cannot load.
 */
import { type Sodium, sodium } from "../domain/sodium.ts"

export interface SignedText {
  /** The signed text, signed as UTF-8; it begins with the name of the kind of message. */
  readonly text: string
  /** URL-safe base64 without padding, 64 bytes. */
  readonly signature: string
  /** URL-safe base64 without padding, 32 bytes. */
  readonly pubKey: string
}

const SIGNATURE_BYTES = 64
const KEY_BYTES = 32

/** Decodes as libsodium does: exactly `length` bytes, and only from their one canonical text. */
const decode = (text: string, length: number): Buffer | undefined => {
  const bytes = Buffer.from(text, "base64url")
  return bytes.length === length && bytes.toString("base64url") === text ? bytes : undefined
}

/** Whether the key made the signature. A malformed key made none. */
export const verifyKeyed = (signature: Uint8Array, text: Uint8Array, pubKey: string): boolean => {
  const key = decode(pubKey, KEY_BYTES)
  return key !== undefined && sodium.verifyDetached(signature, text, key)
}

/** A signed text that is encoded as UTF-8 already. */
export interface SignedBytes extends Omit<SignedText, "text"> {
  readonly text: Uint8Array
}

const verifyBytesWith =
  ({ verifyDetached }: Sodium) =>
  ({ text, signature, pubKey }: SignedBytes): boolean => {
    const signatureBytes = decode(signature, SIGNATURE_BYTES)
    const key = decode(pubKey, KEY_BYTES)
    return signatureBytes !== undefined && key !== undefined && verifyDetached(signatureBytes, text, key)
  }

export const verifyWith = (implementation: Sodium) => {
  const verifyBytes = verifyBytesWith(implementation)
  return (signed: SignedText): boolean => verifyBytes({ ...signed, text: Buffer.from(signed.text) })
}

/** Returns true if the signature is genuine. Never throws: a malformed signature or key is an invalid signature. */
export const verifySignature = verifyWith(sodium)
/** `verifySignature` of a text that is encoded as UTF-8 already. */
export const verifyBytes = verifyBytesWith(sodium)
