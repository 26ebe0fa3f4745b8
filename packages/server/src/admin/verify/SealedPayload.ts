/**
 * Checks a sealed payload against its event: the message in it names the same document, ids and clocks, and is signed by its
 * author.
 */

import { blake2b256 } from "../../domain/Blake2b.ts"
import type { StreamEvent, StreamKey } from "../../domain/Stream.ts"
import type * as Secsync from "../../domain/secsync/index.ts"
import { type PackedMessage, payloadLength, payloadOf } from "../../domain/secsync/PackedMessage.ts"
import { makeDecoder } from "../../protocols/secsync/Wire.ts"
import type { SignedText } from "../../signatures/verifySignature.ts"

import { PAYLOAD_CHANGED, type PayloadProblem, type Unless } from "./Report.ts"

const decodeMessage = makeDecoder()

/** The problem with a payload whose hash is right, or one that its signature decides; undefined when there is none. */
export const payloadProblem = (
  key: StreamKey,
  event: Secsync.DocumentEvent,
  payload: Uint8Array
): PayloadProblem | undefined => {
  const signed = event._tag === "UpdateStored" ? signedByEvent(key, event, payload) : undefined
  return signed === undefined ? decodedProblem(key, event, payload) : unlessGenuine(signed)
}

/**
 * The problem with a payload that is packed, which its signature decides, or what it is unpacked to. `decode`: of the event.
 */
export const packedProblem = (
  key: StreamKey,
  event: StreamEvent,
  packed: PackedMessage,
  decode: (event: StreamEvent) => Secsync.DocumentEvent | undefined
): (Omit<PayloadProblem, "unless"> & { readonly unless?: Unless }) | undefined => {
  const unpacked = (): PayloadProblem | undefined => {
    const payload = payloadOf(packed)
    if (blake2b256(payload) !== event.payloadHash) return { problem: "payload-changed", detail: PAYLOAD_CHANGED }
    const decoded = decode(event)
    return decoded === undefined ? undefined : payloadProblem(key, decoded, payload)
  }
  const { payloadBytes, pubKey } = event.data as Partial<Secsync.UpdateStored>
  const length = payloadLength(packed)
  if (typeof pubKey !== "string" || event.payloadHash === "" || (payloadBytes ?? length) !== length) return unpacked()
  const unless = { update: { packed, payloadHash: event.payloadHash, pubKey }, unpacked }
  return { problem: "signature-invalid", detail: "", unless }
}

const unlessGenuine = (signed: SignedText): PayloadProblem => ({
  problem: "signature-invalid",
  detail: `not signed by the key ${signed.pubKey}`,
  unless: signed
})

/** The text of a message in canonical JSON before its public data, and between that and its end. */
const BEFORE_PUBLIC_DATA = /^\{"ciphertext":"[A-Za-z0-9_-]+","nonce":"[A-Za-z0-9_-]{32}","publicData":$/
const AFTER_PUBLIC_DATA = /^,"signature":"([A-Za-z0-9_-]{86})"\}$/
const AFTER_PUBLIC_DATA_LENGTH = ',"signature":""}'.length + 86

/**
 * The signed text of an update whose payload says in public what its event says, and no more: most payloads are such updates, and
 * need no parsing. undefined for any other payload.
 */
export const signedByEvent = (
  { streamId: docId }: StreamKey,
  { clock, payloadBytes, pubKey, refSnapshotId }: Secsync.UpdateStored,
  payload: Uint8Array
): SignedText | undefined => {
  // Text that is not ASCII has another length in the payload.
  if (Buffer.byteLength(docId) !== docId.length || (payloadBytes ?? payload.length) !== payload.length) return undefined
  // Canonical JSON, which the payload's author has signed as well.
  const publicData = JSON.stringify({ clock, docId, pubKey, refSnapshotId })
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString("latin1")
  const end = text.length - AFTER_PUBLIC_DATA_LENGTH
  const start = end - publicData.length
  if (start < 0 || !text.startsWith(publicData, start)) return undefined
  const [, signature] = AFTER_PUBLIC_DATA.exec(text.slice(end)) ?? []
  const before = text.slice(0, start)
  if (signature === undefined || !BEFORE_PUBLIC_DATA.test(before)) return undefined
  const encoded = Buffer.from(publicData, "latin1").toString("base64url")
  return { text: `secsync_update${before}"${encoded}"}`, signature, pubKey }
}

/** `payloadProblem` of any payload. */
export const decodedProblem = (
  key: StreamKey,
  event: Secsync.DocumentEvent,
  payload: Uint8Array
): PayloadProblem | undefined => {
  const message = decodeMessage(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString())
  const difference = differenceOf(key, event, message) ?? sizeDifference(event, payload)
  if (difference !== undefined) return { problem: "payload-mismatch", detail: difference }
  if (!("signed" in message)) return undefined
  return unlessGenuine(message.signed)
}

const sizeDifference = (event: Secsync.DocumentEvent, { length }: Uint8Array): string | undefined =>
  "payloadBytes" in event && event.payloadBytes !== length
    ? `the payload has ${length} bytes, and not ${event.payloadBytes}`
    : undefined

/** The first difference between the payload and the event; undefined when there is none. */
const differenceOf = (
  key: StreamKey,
  event: Secsync.DocumentEvent,
  message: ReturnType<typeof decodeMessage>
): string | undefined => {
  if (event._tag === "SnapshotStored" && message._tag === "Snapshot") {
    if (message.documentId !== key.streamId) return `the payload is of document ${message.documentId}`
    for (const field of [
      "snapshotId",
      "parentSnapshotId",
      "parentSnapshotProof",
      "pubKey",
      "ciphertextHash"
    ] as const) {
      if (message[field] !== event[field]) return `the payload has another ${field}`
    }
    const clocks = Object.entries(event.parentSnapshotUpdateClocks)
    const { parentSnapshotUpdateClocks } = message
    const isSame =
      clocks.length === parentSnapshotUpdateClocks.size &&
      clocks.every(([pubKey, clock]) => parentSnapshotUpdateClocks.get(pubKey as never) === clock)
    return isSame ? undefined : "the payload has other parentSnapshotUpdateClocks"
  }
  if (event._tag === "UpdateStored" && message._tag === "Update") {
    if (message.documentId !== key.streamId) return `the payload is of document ${message.documentId}`
    for (const field of ["refSnapshotId", "pubKey", "clock"] as const) {
      if (message[field] !== event[field]) return `the payload has another ${field}`
    }
    return undefined
  }
  return "the payload is another kind of message"
}
