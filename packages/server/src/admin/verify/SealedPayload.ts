/**
 * Checks a sealed payload against its event: the message in it names the same document, ids and clocks, and is signed by its
 * author.
 */
import type { StreamKey } from "../../domain/Stream.ts"
import type * as Secsync from "../../domain/secsync/index.ts"
import { makeDecoder } from "../../protocols/secsync/Wire.ts"
import type { SignedText } from "../../signatures/verifySignature.ts"

const decodeMessage = makeDecoder()

export interface PayloadProblem {
  readonly problem: "payload-mismatch" | "signature-invalid"
  readonly detail: string
  /** No problem if this text was signed by its key, which is still to be verified. */
  readonly unless?: SignedText
}

/** The problem with a payload whose hash is right, or one that its signature decides; undefined when there is none. */
export const payloadProblem = (
  key: StreamKey,
  event: Secsync.DocumentEvent,
  payload: Uint8Array
): PayloadProblem | undefined => {
  const message = decodeMessage(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString())
  const difference = differenceOf(key, event, message) ?? sizeDifference(event, payload)
  if (difference !== undefined) return { problem: "payload-mismatch", detail: difference }
  if (!("signed" in message)) return undefined
  return { problem: "signature-invalid", detail: `not signed by the key ${message.pubKey}`, unless: message.signed }
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
