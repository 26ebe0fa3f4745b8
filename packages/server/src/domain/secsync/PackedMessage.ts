/**
 * A sealed message as it is kept: base64 as the bytes that it stands for. Made where the message's fields are known, so that a
 * payload need not be parsed for it.
 */

/** This byte names the form: nonce, signature and ciphertext follow, and the event repeats the public data. */
export const AS_THE_EVENT = 1

const NONCE_BYTES = 24
const SIGNATURE_BYTES = 64
/** Offsets in the packed bytes. */
export const NONCE_AT = 1
export const SIGNATURE_AT = NONCE_AT + NONCE_BYTES
export const SIGNATURE_END = SIGNATURE_AT + SIGNATURE_BYTES

/** The text between the fields of a message in canonical JSON. */
export const [BEFORE_CIPHERTEXT, BEFORE_NONCE, BEFORE_PUBLIC_DATA, BEFORE_SIGNATURE, END] = [
  '{"ciphertext":"',
  '","nonce":"',
  '","publicData":',
  ',"signature":"',
  '"}'
] as const

/** The number of base64 characters, without padding, that stand for this many bytes. */
export const textLength = (bytes: number): number => Math.ceil((bytes * 4) / 3)

export interface PackedMessage {
  /** The canonical JSON of the message's public data. */
  readonly publicData: string
  /** The form `AS_THE_EVENT`. */
  readonly bytes: Uint8Array
}

/** The message's canonical JSON before its public data, and behind it. */
export const textsAround = (
  bytes: Uint8Array,
  ciphertextAt = SIGNATURE_END
): readonly [before: string, behind: string] => {
  const packed = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  return [
    BEFORE_CIPHERTEXT +
      packed.toString("base64url", ciphertextAt) +
      BEFORE_NONCE +
      packed.toString("base64url", NONCE_AT, SIGNATURE_AT) +
      BEFORE_PUBLIC_DATA,
    BEFORE_SIGNATURE + packed.toString("base64url", SIGNATURE_AT, SIGNATURE_END) + END
  ]
}

/** The payload: the message's canonical JSON. Its public data is ASCII. */
export const payloadOf = ({ bytes, publicData }: PackedMessage): Uint8Array => {
  const [before, behind] = textsAround(bytes)
  return Buffer.from(before + publicData + behind, "latin1")
}

/** The length of `payloadOf`. */
export const payloadLength = ({ bytes, publicData }: PackedMessage): number =>
  LENGTH_OF_ALL_ELSE + textLength(bytes.length - SIGNATURE_END) + publicData.length

const LENGTH_OF_ALL_ELSE =
  (BEFORE_CIPHERTEXT + BEFORE_NONCE + BEFORE_PUBLIC_DATA + BEFORE_SIGNATURE + END).length +
  textLength(NONCE_BYTES) +
  textLength(SIGNATURE_BYTES)

/** The other fields are URL-safe base64: 32 characters of a nonce, 86 of a signature, and any number of a ciphertext. */
export interface SealedFields {
  readonly ciphertext: string
  readonly nonce: string
  readonly signature: string
  /** Canonical JSON. */
  readonly publicData: string
}

/** Returns undefined if the fields cannot be made again from the packed bytes. */
export const packFields = ({ ciphertext, nonce, publicData, signature }: SealedFields): PackedMessage | undefined => {
  // A nonce has whole groups of four characters: each of its texts is the one of its bytes.
  if (!isCanonical(ciphertext) || !isCanonical(signature)) return undefined
  const bytes = Buffer.allocUnsafe(SIGNATURE_END + ((ciphertext.length * 3) >> 2))
  bytes[0] = AS_THE_EVENT
  bytes.write(nonce, NONCE_AT, "base64url")
  bytes.write(signature, SIGNATURE_AT, "base64url")
  bytes.write(ciphertext, SIGNATURE_END, "base64url")
  return { publicData, bytes }
}

/** Whether URL-safe base64 is the text of its bytes: the bits of its last character that stand for nothing are zero. */
const isCanonical = (base64: string): boolean => {
  switch (base64.length % 4) {
    case 0:
      return true
    case 2:
      return ENDS_OF_ONE_BYTE.includes(base64.at(-1)!)
    case 3:
      return ENDS_OF_TWO_BYTES.includes(base64.at(-1)!)
    default:
      return false
  }
}

/** The characters whose last four bits are zero, and those whose last two are. */
const [ENDS_OF_ONE_BYTE, ENDS_OF_TWO_BYTES] = ["AQgw", "AEIMQUYcgkosw048"] as const
