/**
 * The default payload codec. It packs Secsync's sealed messages: base64 becomes bytes, and fields that the event repeats are
 * left out. An update of 100 sealed bytes takes 189 bytes instead of 484. Any other payload is stored as it is.
 *
 * The first stored byte names the form: one of the three below, or the first byte of a payload that is stored as it is.
 */
import { Result } from "effect"
import { canonicalJson } from "../domain/CanonicalJson.ts"
import type { Steps } from "../domain/Steps.ts"
import type { StreamEvent, StreamKey } from "../domain/Stream.ts"
import type { SnapshotStored, UpdateStored } from "../domain/secsync/Events.ts"
import {
  AS_THE_EVENT,
  BEFORE_CIPHERTEXT,
  BEFORE_NONCE,
  BEFORE_PUBLIC_DATA,
  BEFORE_SIGNATURE,
  END,
  NONCE_AT,
  type PackedMessage,
  SIGNATURE_AT,
  SIGNATURE_END,
  textLength,
  textsAround
} from "../domain/secsync/PackedMessage.ts"

/** This byte, then the payload as it is. Used when the payload's own first byte would be taken for a form. */
const ESCAPED = 0
/** Any other message: nonce, signature, length of `publicData`, `publicData` as JSON, ciphertext. */
const WITH_PUBLIC_DATA = 2

const LENGTH_BYTES = 4
const PUBLIC_DATA_AT = SIGNATURE_END + LENGTH_BYTES

/**
 * Returns the bytes to store for a payload. `unpackMessage` returns the payload byte for byte, whatever it holds. `message`: the
 * payload's fields, packed; the bytes are the same without them.
 */
export const packMessage = (
  key: StreamKey,
  event: StreamEvent,
  payload: Uint8Array,
  message?: PackedMessage
): Uint8Array => {
  const packed = message === undefined ? tryPack(key, event, payload) : placed(key, event, message)
  if (packed !== undefined) return packed
  const first = payload[0]
  return first !== undefined && first <= WITH_PUBLIC_DATA ? Buffer.concat([Uint8Array.of(ESCAPED), payload]) : payload
}

/** Never throws. Of damaged bytes it makes a payload whose hash is not the event's. */
export const unpackMessage = (key: StreamKey, event: StreamEvent, stored: Uint8Array): Uint8Array => {
  const packed = readPacked(key, event, stored)
  return packed === undefined ? unpackOther(stored) : messageOf(packed)
}

/** `unpackMessage`, in steps of a few milliseconds. */
export const unpackMessageInSteps = function* (
  key: StreamKey,
  event: StreamEvent,
  stored: Uint8Array
): Steps<Uint8Array> {
  const packed = readPacked(key, event, stored)
  return packed === undefined ? unpackOther(stored) : yield* messageInSteps(packed)
}

/**
 * The stored message of an update as it is, if its event repeats the public data. undefined: it has to be unpacked. Text that is not
 * ASCII has another length in the payload.
 */
export const leavePacked = (key: StreamKey, event: StreamEvent, stored: Uint8Array): PackedMessage | undefined => {
  if (stored[0] !== AS_THE_EVENT || event.type !== "UpdateStored" || stored.length <= SIGNATURE_END) return undefined
  if (event.data === null) return undefined
  const publicData = publicDataOf(key, event)
  return Buffer.byteLength(publicData) === publicData.length ? { publicData, bytes: stored } : undefined
}

/** A packed message as it is stored. */
interface Packed {
  readonly bytes: Buffer
  /** One character for each byte. */
  readonly publicData: string
  readonly ciphertextAt: number
}

/** undefined: the bytes are no packed message. */
const readPacked = (key: StreamKey, event: StreamEvent, stored: Uint8Array): Packed | undefined => {
  if (stored[0] === AS_THE_EVENT) {
    const publicData = Result.getOrElse(
      Result.try(() => publicDataOf(key, event)),
      () => ""
    )
    return { bytes: asBuffer(stored), publicData, ciphertextAt: SIGNATURE_END }
  }
  if (stored[0] !== WITH_PUBLIC_DATA) return undefined
  const bytes = asBuffer(stored)
  const ciphertextAt = PUBLIC_DATA_AT + (bytes.length < PUBLIC_DATA_AT ? 0 : bytes.readUInt32LE(SIGNATURE_END))
  return { bytes, publicData: bytes.toString("latin1", PUBLIC_DATA_AT, ciphertextAt), ciphertextAt }
}

const unpackOther = (stored: Uint8Array): Uint8Array => (stored[0] === ESCAPED ? stored.slice(1) : stored)

/** The packed message, with its public data if the event does not repeat it. */
const placed = (key: StreamKey, event: StreamEvent, { bytes, publicData }: PackedMessage): Uint8Array => {
  const length = Buffer.byteLength(publicData)
  // Public data that is not ASCII is stored, because `messageOf` takes one character for each byte.
  if (length === publicData.length && publicData === publicDataOf(key, event)) return bytes
  const packed = Buffer.allocUnsafe(bytes.length + LENGTH_BYTES + length)
  packed.set(bytes.subarray(0, SIGNATURE_END))
  packed[0] = WITH_PUBLIC_DATA
  packed.writeUInt32LE(length, SIGNATURE_END)
  packed.write(publicData, PUBLIC_DATA_AT)
  packed.set(bytes.subarray(SIGNATURE_END), PUBLIC_DATA_AT + length)
  return packed
}

/** Undefined unless the payload is a message in canonical JSON whose base64 can be made again from its bytes. */
const tryPack = (key: StreamKey, event: StreamEvent, payload: Uint8Array): Buffer | undefined => {
  if (payload[0] !== BEFORE_CIPHERTEXT.charCodeAt(0)) return undefined
  // latin1 keeps every byte, also those of characters that are not ASCII.
  const text = asBuffer(payload).toString("latin1")
  const ciphertextEnd = text.indexOf('"', BEFORE_CIPHERTEXT.length)
  const nonceAt = ciphertextEnd + BEFORE_NONCE.length
  const nonceEnd = nonceAt + textLength(SIGNATURE_AT - NONCE_AT)
  const publicDataAt = nonceEnd + BEFORE_PUBLIC_DATA.length
  const signatureEnd = text.length - END.length
  const signatureAt = signatureEnd - textLength(SIGNATURE_END - SIGNATURE_AT)
  const publicDataEnd = signatureAt - BEFORE_SIGNATURE.length
  const isMessage =
    publicDataAt <= publicDataEnd &&
    text.startsWith(BEFORE_CIPHERTEXT) &&
    text.startsWith(BEFORE_NONCE, ciphertextEnd) &&
    text.startsWith(BEFORE_PUBLIC_DATA, nonceEnd) &&
    text.startsWith(BEFORE_SIGNATURE, publicDataEnd) &&
    text.startsWith(END, signatureEnd)
  if (!isMessage) return undefined

  const ciphertext = text.slice(BEFORE_CIPHERTEXT.length, ciphertextEnd)
  const publicData = text.slice(publicDataAt, publicDataEnd)
  const isAsTheEvent = publicData === publicDataOf(key, event)
  const ciphertextAt = isAsTheEvent ? SIGNATURE_END : PUBLIC_DATA_AT + publicData.length
  const packed = Buffer.alloc(ciphertextAt + Math.floor((ciphertext.length * 3) / 4))
  const writes = (base64: string, from: number, to: number): boolean => {
    packed.write(base64, from, to - from, "base64url")
    return packed.toString("base64url", from, to) === base64
  }
  packed[0] = isAsTheEvent ? AS_THE_EVENT : WITH_PUBLIC_DATA
  if (!isAsTheEvent) {
    packed.writeUInt32LE(publicData.length, SIGNATURE_END)
    packed.write(publicData, PUBLIC_DATA_AT, "latin1")
  }
  const isLossless =
    writes(text.slice(nonceAt, nonceEnd), NONCE_AT, SIGNATURE_AT) &&
    writes(text.slice(signatureAt, signatureEnd), SIGNATURE_AT, SIGNATURE_END) &&
    writes(ciphertext, ciphertextAt, packed.length)
  return isLossless ? packed : undefined
}

/** Builds the message's JSON. The result has memory of its own: a view would keep the shared buffer alive. */
const messageOf = (packed: Packed): Uint8Array => {
  const [before, behind] = textsAround(packed.bytes, packed.ciphertextAt)
  const text = before + packed.publicData + behind
  const message = Buffer.allocUnsafeSlow(text.length)
  message.write(text, "latin1")
  return message
}

/** Bytes of ciphertext that one step encodes. Whole groups of three, whose base64 can be joined. */
const STEP_BYTES = 3 * 128 * 1024

const messageInSteps = function* (packed: Packed): Steps<Uint8Array> {
  const { bytes, ciphertextAt } = packed
  if (bytes.length <= STEP_BYTES) return messageOf(packed)
  const rest = restOf(packed)
  const length = textLength(Math.max(0, bytes.length - ciphertextAt))
  const message = Buffer.allocUnsafeSlow(BEFORE_CIPHERTEXT.length + length + rest.length)
  let at = message.write(BEFORE_CIPHERTEXT, "latin1")
  for (let from = ciphertextAt; from < bytes.length; from += STEP_BYTES) {
    at += message.write(bytes.toString("base64url", from, from + STEP_BYTES), at, "latin1")
    yield
  }
  message.write(rest, at, "latin1")
  return message
}

/** The message's JSON behind its ciphertext. */
const restOf = ({ bytes, publicData }: Packed): string =>
  BEFORE_NONCE +
  bytes.toString("base64url", NONCE_AT, SIGNATURE_AT) +
  BEFORE_PUBLIC_DATA +
  publicData +
  BEFORE_SIGNATURE +
  bytes.toString("base64url", SIGNATURE_AT, SIGNATURE_END) +
  END

/** The `publicData` of a message that says no more in public than its event does. */
const publicDataOf = ({ streamId: docId }: StreamKey, { data, type }: StreamEvent): string => {
  if (type === "UpdateStored") {
    const { clock, pubKey, refSnapshotId } = data as Partial<UpdateStored>
    // This is canonical JSON: the keys are in order, and the values are a number and strings.
    return JSON.stringify({ clock, docId, pubKey, refSnapshotId })
  }
  // By name: the server adds fields to the event, and a server of a later version may add more.
  const { parentSnapshotId, parentSnapshotProof, parentSnapshotUpdateClocks, pubKey, snapshotId } =
    data as Partial<SnapshotStored>
  return canonicalJson({
    ...{ docId, parentSnapshotId, parentSnapshotProof, parentSnapshotUpdateClocks, pubKey, snapshotId }
  })
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
