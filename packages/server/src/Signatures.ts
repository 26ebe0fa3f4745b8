/** Who wrote a message: Ed25519 signatures (RFC 8032), checked exactly as the clients check them, with libsodium. */
import { Context, Effect, Layer } from "effect"
import sodium from "libsodium-wrappers"

export interface SignedText {
  /** What was signed, as UTF-8; it begins with the name of the kind of message. */
  readonly text: string
  /** URL-safe base64, 64 bytes. */
  readonly signature: string
  /** URL-safe base64, 32 bytes. */
  readonly pubKey: string
}

export class Signatures extends Context.Service<
  Signatures,
  {
    /** Never fails: what cannot be a signature or a key is an invalid signature. */
    readonly verify: (signed: SignedText) => Effect.Effect<boolean>
  }
>()("@sealog/server/Signatures") {
  /** On the caller's thread. */
  static readonly layer = Layer.effect(
    Signatures,
    Effect.gen(function* () {
      yield* Effect.promise(() => sodium.ready)
      return Signatures.of({ verify: (signed) => Effect.sync(() => verifySignature(signed)) })
    })
  )
}

/** Needs libsodium to be ready. */
export const verifySignature = ({ text, signature, pubKey }: SignedText): boolean => {
  try {
    return sodium.crypto_sign_verify_detached(sodium.from_base64(signature), text, sodium.from_base64(pubKey))
  } catch {
    // libsodium throws on lengths and base64 that no key or signature has.
    return false
  }
}
