/** Secsync's messages: decodes the frames of clients, and makes the server's frames, each once for all its receivers. */
import { Option, Schema } from "effect"
import { blake2b256 } from "../../domain/Blake2b.ts"
import { canonicalJson } from "../../domain/CanonicalJson.ts"
import {
  decodeDocumentId,
  type Hash,
  Hash as HashSchema,
  isNatural,
  isPublicKey,
  isSnapshotId,
  PublicKey,
  SnapshotId,
  UpdateClock,
  UpdateClocks
} from "../../domain/Ids.ts"
import type { SnapshotProof } from "../../domain/secsync/Events.ts"
import { type PackedMessage, packFields, type SealedFields } from "../../domain/secsync/PackedMessage.ts"
import type { SignedText } from "../../signatures/verifySignature.ts"
import { type Frame, frameAround, textFrame, textFrameInPieces } from "../Frame.ts"
import { hasFewValues } from "../JsonBudget.ts"

// ---------------------------------------------------------------------------------------------- client → server

/** The fields that every decoded message has. */
export interface Sealed {
  readonly documentId: string
  readonly pubKey: PublicKey
  /** The text that the signature must cover, the signature and the author's key. */
  readonly signed: SignedText
  /** The message as it is stored and sent to others: canonical JSON, with every signed field and no other. */
  readonly payload: Uint8Array
  /** The payload, packed; undefined: its text cannot be made again from its bytes, or the message is not to be stored. */
  readonly packed: PackedMessage | undefined
  /** The hash of the payload, if it is known already. */
  readonly payloadHash?: Hash
  /** Whether the signature is the author's, if it is verified already: then `signed` has no text. */
  readonly isGenuine?: boolean
}

export interface SnapshotMessage extends Sealed {
  readonly _tag: "Snapshot"
  readonly snapshotId: SnapshotId
  readonly parentSnapshotId: SnapshotId | ""
  readonly parentSnapshotProof: Hash
  readonly parentSnapshotUpdateClocks: ReadonlyMap<PublicKey, number>
  readonly ciphertextHash: Hash
  /** For the access policy only: neither stored nor sent to others. */
  readonly additionalServerData: unknown
}

export interface UpdateMessage extends Sealed {
  readonly _tag: "Update"
  readonly refSnapshotId: SnapshotId
  readonly clock: number
}

export interface EphemeralMessage extends Sealed {
  readonly _tag: "Ephemeral"
}

/** A frame that is not a valid message. A snapshot or update is refused as one; any other closes the connection. */
export type Malformed =
  | { readonly _tag: "NotJson" }
  | { readonly _tag: "NotAMessage" }
  | { readonly _tag: "MalformedSnapshot" }
  | { readonly _tag: "MalformedUpdate"; readonly snapshotId: string; readonly clock: number }

export type ClientMessage = SnapshotMessage | UpdateMessage | EphemeralMessage | Malformed

/** The app's own schemas for the additional fields of `publicData`. A message that fails them is malformed. */
export interface PublicDataSchemas {
  readonly snapshot?: Schema.Decoder<unknown>
  readonly update?: Schema.Decoder<unknown>
  readonly ephemeralMessage?: Schema.Decoder<unknown>
}

/** The signed text of an ephemeral message begins with it. */
const EPHEMERAL = "secsync_ephemeral_message"

/** Characters of a signature. */
const SIGNATURE_LENGTH = 86

const base64url = (characters?: number) =>
  Schema.String.check(Schema.isPattern(characters ? new RegExp(`^[A-Za-z0-9_-]{${characters}}$`) : /^[A-Za-z0-9_-]+$/))

const message = <Fields extends Schema.Struct.Fields>(publicData: Fields) =>
  Schema.Struct({
    ciphertext: base64url(),
    nonce: base64url(32),
    signature: base64url(SIGNATURE_LENGTH),
    publicData: Schema.Struct({ docId: Schema.String, pubKey: PublicKey, ...publicData }),
    additionalServerData: Schema.optionalKey(Schema.Unknown)
  })

const decodeSnapshot = Schema.decodeUnknownOption(
  message({
    snapshotId: SnapshotId,
    parentSnapshotId: Schema.Union([SnapshotId, Schema.Literal("")]),
    parentSnapshotProof: HashSchema,
    parentSnapshotUpdateClocks: UpdateClocks
  })
)
const decodeUpdate = Schema.decodeUnknownOption(message({ refSnapshotId: SnapshotId, clock: UpdateClock }))
type DecodedUpdate = Option.Option.Value<ReturnType<typeof decodeUpdate>>
const decodeEphemeral = Schema.decodeUnknownOption(message({}))

/** Most values in a frame (see `hasFewValues`). A snapshot has one clock for each author, besides the app's own fields. */
export const MAX_VALUES = 100_000
/** How deep additional fields may nest. Canonical JSON is made by recursion, which deeper values would overflow. */
const MAX_DEPTH = 32

/** Whether the app accepts the public data of each kind of message. */
export type Accepts = Readonly<Record<keyof PublicDataSchemas, (publicData: unknown) => boolean>>

export const acceptsOf = ({ ephemeralMessage, snapshot, update }: PublicDataSchemas): Accepts => ({
  snapshot: acceptsWith(snapshot),
  update: acceptsWith(update),
  ephemeralMessage: acceptsWith(ephemeralMessage)
})

/** Makes the decoder of text frames. It never throws: a frame that is no valid message becomes `Malformed`. */
export const makeDecoder = (schemas: PublicDataSchemas = {}) => decoderOf(acceptsOf(schemas))

/** The decoder of an app that accepts public data in this way. */
export const decoderOf =
  (accepts: Accepts) =>
  (text: string): ClientMessage => {
    if (!hasFewValues(text, MAX_VALUES)) return { _tag: "NotAMessage" }
    let json: unknown
    try {
      json = JSON.parse(text)
    } catch {
      return { _tag: "NotJson" }
    }
    const publicData = fieldOf(json, "publicData")
    if (fieldOf(publicData, "snapshotId") !== undefined) return asSnapshot(json, publicData, accepts.snapshot)
    if (fieldOf(publicData, "refSnapshotId") !== undefined) {
      return asPlainUpdate(json, accepts.update) ?? asUpdate(json, publicData, accepts.update)
    }
    return asEphemeral(json, publicData, accepts.ephemeralMessage)
  }

type Decoded = SnapshotMessage | UpdateMessage | EphemeralMessage

export const isAccepted = (accepts: Accepts, { _tag }: Decoded, publicData: unknown): boolean =>
  _tag === "Snapshot"
    ? accepts.snapshot(publicData)
    : _tag === "Update"
      ? accepts.update(publicData)
      : accepts.ephemeralMessage(publicData)

/** A message whose public data the app does not accept. */
export const malformedOf = (message: Decoded): Malformed => {
  switch (message._tag) {
    case "Snapshot":
      return { _tag: "MalformedSnapshot" }
    case "Update":
      return { _tag: "MalformedUpdate", snapshotId: message.refSnapshotId, clock: message.clock }
    case "Ephemeral":
      return { _tag: "NotAMessage" }
  }
}

const acceptsWith = (schema: Schema.Decoder<unknown> | undefined): ((publicData: unknown) => boolean) =>
  schema === undefined ? () => true : (publicData) => Option.isSome(Schema.decodeUnknownOption(schema)(publicData))

const asSnapshot = (json: unknown, publicData: unknown, accepts: (data: unknown) => boolean): ClientMessage => {
  const decoded = decodeSnapshot(json)
  if (Option.isNone(decoded) || !isCanonical(publicData) || !accepts(publicData)) return { _tag: "MalformedSnapshot" }
  const { ciphertext, publicData: data, additionalServerData } = decoded.value
  return {
    _tag: "Snapshot",
    ...sealed("secsync_snapshot", decoded.value, publicData),
    snapshotId: data.snapshotId,
    parentSnapshotId: data.parentSnapshotId,
    parentSnapshotProof: data.parentSnapshotProof,
    parentSnapshotUpdateClocks: clocksOf(data.parentSnapshotUpdateClocks),
    ciphertextHash: blake2b256(ciphertext),
    additionalServerData
  }
}

const asUpdate = (json: unknown, publicData: unknown, accepts: (data: unknown) => boolean): ClientMessage => {
  const decoded = decodeUpdate(json)
  if (Option.isNone(decoded) || !isCanonical(publicData) || !accepts(publicData)) {
    const snapshotId = fieldOf(publicData, "refSnapshotId")
    const clock = fieldOf(publicData, "clock")
    return {
      _tag: "MalformedUpdate",
      snapshotId: typeof snapshotId === "string" && snapshotId.length <= 64 ? snapshotId : "",
      clock: Number.isSafeInteger(clock) ? (clock as number) : 0
    }
  }
  const { refSnapshotId, clock } = decoded.value.publicData
  return { _tag: "Update", ...sealed("secsync_update", decoded.value, publicData), refSnapshotId, clock }
}

const [BASE64URL, NONCE, SIGNATURE] = [/^[A-Za-z0-9_-]+$/, /^[A-Za-z0-9_-]{32}$/, /^[A-Za-z0-9_-]{86}$/]

/**
 * An update that has its known fields and no other, checked by hand as strictly as by `asUpdate`: most frames are such updates.
 * Undefined for any other frame, on which `asUpdate` decides.
 */
const asPlainUpdate = (json: unknown, accepts: (data: unknown) => boolean): UpdateMessage | undefined => {
  const { ciphertext, nonce, publicData, signature } = json as Partial<DecodedUpdate>
  const { clock, docId, pubKey, refSnapshotId } = publicData as Partial<DecodedUpdate["publicData"]>
  const isPlain =
    hasFourFields(json as object) &&
    hasFourFields(publicData as object) &&
    isText(ciphertext, BASE64URL) &&
    isText(nonce, NONCE) &&
    isText(signature, SIGNATURE) &&
    typeof docId === "string" &&
    docId.isWellFormed() &&
    isPublicKey(pubKey) &&
    isSnapshotId(refSnapshotId) &&
    isNatural(clock) &&
    accepts(publicData)
  if (!isPlain) return undefined
  const canonical = `{"clock":${clock},"docId":${JSON.stringify(docId)},"pubKey":"${pubKey}","refSnapshotId":"${refSnapshotId}"}`
  const sealed = sealedAs("secsync_update", { ciphertext, nonce, signature, docId, pubKey, publicData: canonical })
  return { _tag: "Update", ...sealed, refSnapshotId, clock }
}

const isText = (value: unknown, pattern: RegExp): value is string => typeof value === "string" && pattern.test(value)

const hasFourFields = (value: object): boolean => Object.keys(value).length === 4

const asEphemeral = (json: unknown, publicData: unknown, accepts: (data: unknown) => boolean): ClientMessage => {
  const decoded = decodeEphemeral(json)
  if (Option.isNone(decoded) || !isCanonical(publicData) || !accepts(publicData)) return { _tag: "NotAMessage" }
  return { _tag: "Ephemeral", ...sealed(EPHEMERAL, decoded.value, publicData) }
}

/**
 * The common fields of a message. `publicData` is passed as it was sent besides its decoded form, because all its fields
 * are signed and must be stored. The other fields are base64url and need no escaping: their canonical JSON is put together
 * by hand.
 */
const sealed = (
  domain: string,
  message: {
    readonly ciphertext: string
    readonly nonce: string
    readonly signature: string
    readonly publicData: { readonly docId: string; readonly pubKey: PublicKey }
  },
  publicData: unknown
): Sealed => {
  const { ciphertext, nonce, signature } = message
  const { docId, pubKey } = message.publicData
  return sealedAs(domain, {
    ciphertext,
    nonce,
    signature,
    docId,
    pubKey,
    publicData: canonicalJson(publicData as object)
  })
}

interface SealedParts extends SealedFields {
  readonly docId: string
  readonly pubKey: PublicKey
}

const sealedAs = (domain: string, parts: SealedParts): Sealed => {
  const { ciphertext, nonce, signature, docId, pubKey, publicData } = parts
  const encoded = Buffer.from(publicData).toString("base64url")
  return {
    documentId: decodeDocumentId(docId),
    pubKey,
    signed: {
      text: `${domain}{"ciphertext":"${ciphertext}","nonce":"${nonce}","publicData":"${encoded}"}`,
      signature,
      pubKey
    },
    payload: Buffer.from(
      `{"ciphertext":"${ciphertext}","nonce":"${nonce}","publicData":${publicData},"signature":"${signature}"}`
    ),
    packed: domain === EPHEMERAL ? undefined : packFields(parts)
  }
}

const clocksOf = (clocks: Readonly<Record<PublicKey, number>>): ReadonlyMap<PublicKey, number> =>
  new Map(Object.entries(clocks) as Array<[PublicKey, number]>)

const fieldOf = (value: unknown, key: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined

/** Whether a value has canonical JSON: RFC 8785 excludes infinity and lone surrogates, and the recursion has a limit. */
const isCanonical = (value: unknown, depth = MAX_DEPTH): boolean => {
  if (typeof value === "string") return value.isWellFormed()
  if (typeof value === "number") return Number.isFinite(value)
  if (typeof value !== "object" || value === null) return true
  return depth > 0 && Object.entries(value).every(([key, field]) => key.isWellFormed() && isCanonical(field, depth - 1))
}

/**
 * Parses the `knownSnapshotUpdateClocks` of a connection's URL. Malformed clocks count as none. Checked by hand, up to the first
 * that is malformed: this is done before the client's token is verified, and a schema takes 17 ms for 60 KB of malformed clocks.
 */
export const parseKnownClocks = (text: string | null): ReadonlyMap<PublicKey, number> => {
  const clocks = new Map<PublicKey, number>()
  for (const [author, clock] of Object.entries(objectIn(text))) {
    if (!isPublicKey(author) || !isNatural(clock)) return new Map()
    clocks.set(author, clock)
  }
  return clocks
}

const objectIn = (text: string | null): object => {
  try {
    const value: unknown = JSON.parse(text ?? "{}")
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {}
  } catch {
    return {}
  }
}

// ---------------------------------------------------------------------------------------------- server → client

const json = (value: object): Frame => textFrame([JSON.stringify(value)])

export const unauthorized = json({ type: "unauthorized" })
export const documentNotFound = json({ type: "document-not-found" })
export const documentError = json({ type: "document-error" })
export const snapshotSaveFailed = json({ type: "snapshot-save-failed" })

export const snapshotSaved = (snapshotId: SnapshotId): Frame => json({ type: "snapshot-saved", snapshotId })

export const updateSaved = (snapshotId: SnapshotId, clock: number): Frame =>
  json({ type: "update-saved", snapshotId, clock })

export const updateSaveFailed = (snapshotId: string, clock: number, requiresNewSnapshot: boolean): Frame =>
  json({ type: "update-save-failed", snapshotId, clock, requiresNewSnapshot })

/**
 * Says that an update was not stored, after an `update-save-failed` that already makes its author send everything
 * unconfirmed again. Not part of Secsync: clients hand it to `onCustomMessage` or ignore it.
 */
export const updateSuperseded = (snapshotId: string, clock: number): Frame =>
  json({ type: "update-superseded", snapshotId, clock })

const [BEFORE_SNAPSHOT, AFTER_SNAPSHOT] = ['{"type":"snapshot","snapshot":', "}"] as const

export const snapshotFrame = (payload: Uint8Array): Frame =>
  frameAround(BEFORE_SNAPSHOT, payload, AFTER_SNAPSHOT) ?? textFrame([BEFORE_SNAPSHOT, payload, AFTER_SNAPSHOT])

/** The snapshot in its frame. Of these bytes `snapshotFrame` makes the frame without a copy, if its memory is the frame's alone. */
export const snapshotWithin = <B extends ArrayBufferLike>(frame: Uint8Array<B>, { length }: Uint8Array) =>
  frame.subarray(frame.length - AFTER_SNAPSHOT.length - length, -AFTER_SNAPSHOT.length)

export const updateFrame = (payload: Uint8Array): Frame => withType("update", payload)

export const ephemeralFrame = (payload: Uint8Array): Frame => withType("ephemeral-message", payload)

/** The signature of an ephemeral message, with which its frame ends. */
export const signatureOf = (ephemeralFrame: Uint8Array): string =>
  Buffer.from(ephemeralFrame.slice(-SIGNATURE_LENGTH - 2, -2)).toString("latin1")

/** The part of a document that one client is sent. Payloads are JSON as it is stored: they are copied, not parsed. */
export interface DocumentContent {
  readonly snapshot?: Uint8Array | undefined
  readonly updates: ReadonlyArray<Uint8Array>
  readonly proofChain?: ReadonlyArray<SnapshotProof> | undefined
}

/** The frame in pieces. All frames with the same snapshot share its bytes. */
export const contentFrame = (
  type: "document" | "snapshot-save-failed",
  content: DocumentContent
): ReadonlyArray<Uint8Array> => {
  const parts: Array<string | Uint8Array> = [`{"type":"${type}"`]
  if (content.snapshot !== undefined) parts.push(',"snapshot":', content.snapshot)
  parts.push(',"updates":[')
  content.updates.forEach((update, i) => {
    if (i > 0) parts.push(",")
    parts.push(update)
  })
  parts.push("]")
  if (content.proofChain !== undefined) {
    const chain = content.proofChain.map(({ snapshotId, ciphertextHash, parentSnapshotProof }) => ({
      snapshotId,
      snapshotCiphertextHash: ciphertextHash,
      parentSnapshotProof
    }))
    parts.push(`,"snapshotProofChain":${JSON.stringify(chain)}`)
  }
  parts.push("}")
  return textFrameInPieces(parts)
}

/** The frame of a stored message, with its type before its own fields. */
const withType = (type: string, payload: Uint8Array): Frame => textFrame([`{"type":"${type}",`, payload.subarray(1)])
