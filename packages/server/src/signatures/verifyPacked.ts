/**
 * Verifies an update that is still packed, as a storage keeps it: its payload has the hash that its event names, and its author signed
 * it. Payload and signed text are made in memory that stays, because nothing else needs them.
 */
import { blake2b256 } from "../domain/Blake2b.ts"
import { type PackedMessage, SIGNATURE_AT, SIGNATURE_END, textsAround } from "../domain/secsync/PackedMessage.ts"
import { verifyKeyed } from "./verifySignature.ts"

export interface PackedUpdate {
  /** An update's, whose public data is ASCII. */
  readonly packed: PackedMessage
  /** The hash of the payload, URL-safe base64. */
  readonly payloadHash: string
  /** The author's key, URL-safe base64. */
  readonly pubKey: string
}

const KIND = "secsync_update"

/** Enough for almost all updates. */
const memory = Buffer.allocUnsafeSlow(64 * 1024)
memory.write(KIND, "latin1")
const signature = Buffer.allocUnsafeSlow(SIGNATURE_END - SIGNATURE_AT)

/** Returns true if hash and signature are right. */
export const verifyPacked = ({ packed: { bytes, publicData }, payloadHash, pubKey }: PackedUpdate): boolean => {
  const [before, behind] = textsAround(bytes)
  const text = before + publicData + behind
  const encoded = `"${Buffer.from(publicData, "latin1").toString("base64url")}"}`
  const target = memoryOf(KIND.length + Math.max(text.length, before.length + encoded.length))
  const end = KIND.length + target.write(text, KIND.length, "latin1")
  if (blake2b256(target.subarray(KIND.length, end)) !== payloadHash) return false
  // The signed text has the public data in base64, and no signature.
  const signedEnd = KIND.length + before.length + target.write(encoded, KIND.length + before.length, "latin1")
  signature.set(bytes.subarray(SIGNATURE_AT, SIGNATURE_END))
  return verifyKeyed(signature, target.subarray(0, signedEnd), pubKey)
}

const memoryOf = (length: number): Buffer => {
  if (length <= memory.length) return memory
  const large = Buffer.allocUnsafe(length)
  large.write(KIND, "latin1")
  return large
}
