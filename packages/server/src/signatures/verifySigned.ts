/** A signature to verify: of a text, or of an update that is still packed. */
import { type PackedUpdate, verifyPacked } from "./verifyPacked.ts"
import { type SignedText, verifySignature } from "./verifySignature.ts"

export type Signed = SignedText | PackedUpdate

export const verifySigned = (signed: Signed): boolean =>
  "packed" in signed ? verifyPacked(signed) : verifySignature(signed)
