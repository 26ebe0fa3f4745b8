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

export interface PackedMessage {
  /** The canonical JSON of the message's public data. */
  readonly publicData: string
  /** The form `AS_THE_EVENT`. */
  readonly bytes: Uint8Array
}

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
