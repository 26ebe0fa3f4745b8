/**
 * Ed25519 (RFC 8032) as libsodium has it, which is what clients check with: one that accepted more, or less, would store
 * what they refuse, and leave them with a document that they cannot load.
 */
import { type Sodium, sodium } from "../domain/sodium.ts"

export interface SignedText {
  /** What was signed, as UTF-8; it begins with the name of the kind of message. */
  readonly text: string
  /** URL-safe base64 without padding, 64 bytes. */
  readonly signature: string
  /** URL-safe base64 without padding, 32 bytes. */
  readonly pubKey: string
}

const SIGNATURE_BYTES = 64
const KEY_BYTES = 32

/** As libsodium decodes it: exactly so many bytes, in the one text that stands for them. */
const decode = (text: string, length: number): Buffer | undefined => {
  const bytes = Buffer.from(text, "base64url")
  return bytes.length === length && bytes.toString("base64url") === text ? bytes : undefined
}

interface SignedBytes extends Omit<SignedText, "text"> {
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

/** Never throws: what cannot be a signature or a key is an invalid signature. */
export const verifySignature = verifyWith(sodium)
/** The same, of a text that is UTF-8 already. */
export const verifyBytes = verifyBytesWith(sodium)
