/** Does all the work on a large frame that takes as long as the frame is large. */
import { blake2b256 } from "../../domain/Blake2b.ts"
import { type Answer, handedOver } from "../../internal/JobThreads.ts"
import { verifySignature } from "../../signatures/verifySignature.ts"
import { type ClientMessage, decoderOf, snapshotFrame, snapshotWithin } from "./Wire.ts"

export interface DecodeJob {
  /** The frame's text in UTF-8. */
  readonly bytes: Uint8Array
  readonly returnsPublicData: boolean
}

export interface DecodedLarge {
  /** Its signature is verified, and its payload hashed. It is without the signed text, which nothing needs any more. */
  readonly message: ClientMessage
  /** As the message has it; undefined if it was not asked for. */
  readonly publicData: unknown
}

export const decodeLarge = ({ bytes, returnsPublicData }: DecodeJob): Answer<DecodedLarge> => {
  let publicData: unknown
  const keep = (data: unknown): boolean => {
    if (returnsPublicData) publicData = data
    return true
  }
  const decode = decoderOf({ snapshot: keep, update: keep, ephemeralMessage: keep })
  const decoded = decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString())
  if (!("signed" in decoded)) return { result: { message: decoded, publicData }, transfer: [] }
  const isGenuine = verifySignature(decoded.signed)
  const payload =
    decoded._tag === "Snapshot"
      ? snapshotWithin(handedOver(snapshotFrame(decoded.payload)), decoded.payload)
      : handedOver(decoded.payload)
  const packed = decoded.packed && { ...decoded.packed, bytes: handedOver(decoded.packed.bytes) }
  const message = {
    ...decoded,
    payload,
    packed,
    payloadHash: blake2b256(payload),
    isGenuine,
    signed: { ...decoded.signed, text: "" }
  }
  const transfer = packed === undefined ? [payload.buffer] : [payload.buffer, packed.bytes.buffer]
  return { result: { message, publicData }, transfer }
}
