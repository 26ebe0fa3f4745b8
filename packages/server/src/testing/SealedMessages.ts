/**
 * Secsync messages as a client sends them, with correct signatures and proofs, for tests and benches. The ciphertexts are random,
 * because a server never opens them.
 *
 * Written from the wire protocol alone, so that it can disagree with the code under test.
 */
import { createPrivateKey, type KeyObject, randomBytes, sign as signText } from "node:crypto"
import canonicalize from "canonicalize"
import sodium from "libsodium-wrappers"
import { Hash, PublicKey } from "../domain/Ids.ts"

// libsodium is WebAssembly: usable only once compiled.
await sodium.ready

/** One signing key pair: to a server, an author is its public key. */
export interface Author {
  readonly pubKey: PublicKey
  /** Ed25519, 64 bytes as libsodium keeps it. */
  readonly privateKey: Uint8Array
}

export interface SealedMessage<PublicData> {
  /** URL-safe base64 without padding, as every string of bytes here. */
  readonly ciphertext: string
  /** 24 bytes. */
  readonly nonce: string
  /** Detached Ed25519 signature, 64 bytes. */
  readonly signature: string
  readonly publicData: PublicData & Additional
}

/** An app's own fields of `publicData`: covered by the signature, kept as they are. */
export type Additional = Readonly<Record<string, unknown>>

export type SealedSnapshot = SealedMessage<{
  readonly docId: string
  readonly pubKey: PublicKey
  readonly snapshotId: string
  readonly parentSnapshotId: string
  readonly parentSnapshotProof: Hash
  readonly parentSnapshotUpdateClocks: Readonly<Record<string, number>>
}>

export type SealedUpdate = SealedMessage<{
  readonly docId: string
  readonly pubKey: PublicKey
  readonly refSnapshotId: string
  readonly clock: number
}>

export type SealedEphemeralMessage = SealedMessage<{ readonly docId: string; readonly pubKey: PublicKey }>

/** Options of every message. */
export interface MessageOptions {
  readonly docId: string
  /** The ciphertext in URL-safe base64, or the number of random bytes to make. Default: 64. */
  readonly ciphertext?: string | number
  readonly additional?: Additional
}

/** A new author with a random key pair. */
export const makeAuthor = (): Author => {
  const { publicKey, privateKey } = sodium.crypto_sign_keypair()
  return { pubKey: PublicKey.make(sodium.to_base64(publicKey)), privateKey }
}

/** An id as clients make them: 24 random bytes. */
export const randomId = (): string => randomBase64(24)

/**
 * A snapshot after `parent`, or without one a document's first: its parent's id is then "" and its proof is made from
 * empty strings. `clocks` are the last clocks of the parent's updates, by author.
 */
export const snapshotMessage = (
  author: Author,
  options: MessageOptions & {
    readonly snapshotId?: string
    readonly parent?: SealedSnapshot
    readonly clocks?: Readonly<Record<string, number>>
  }
): SealedSnapshot =>
  seal("secsync_snapshot", author, options, {
    docId: options.docId,
    pubKey: author.pubKey,
    snapshotId: options.snapshotId ?? randomId(),
    parentSnapshotId: options.parent?.publicData.snapshotId ?? "",
    parentSnapshotProof: childProof(options.parent),
    parentSnapshotUpdateClocks: options.clocks ?? {}
  })

/** An update. `clock` is 0 for an author's first to a snapshot and goes up by exactly 1. */
export const updateMessage = (
  author: Author,
  options: MessageOptions & { readonly refSnapshotId: string; readonly clock: number }
): SealedUpdate =>
  seal("secsync_update", author, options, {
    docId: options.docId,
    pubKey: author.pubKey,
    refSnapshotId: options.refSnapshotId,
    clock: options.clock
  })

/** An ephemeral message. It names neither a snapshot nor a clock, which tells it from other messages. */
export const ephemeralMessage = (author: Author, options: MessageOptions): SealedEphemeralMessage =>
  seal("secsync_ephemeral_message", author, options, { docId: options.docId, pubKey: author.pubKey })

/** A changed message, signed again by `author`, as a lying client would send it. */
export const resign = <PublicData>(
  author: Author,
  message: SealedMessage<PublicData>,
  publicData: Partial<PublicData> & Additional
): SealedMessage<PublicData> => {
  const lie = { ...message.publicData, ...publicData }
  const { ciphertext, nonce } = message
  return { ciphertext, nonce, publicData: lie, signature: sign(author, domainOf(lie), { ciphertext, nonce }, lie) }
}

/**
 * The parent proof of a snapshot that follows `parent`: hash(canonicalJson({grandParentSnapshotProof,
 * parentSnapshotId, parentSnapshotCiphertextHash})), where the grand-parent proof is the parent's own proof and the
 * ciphertext is hashed as its base64 text; all three are "" for a first snapshot.
 */
export const childProof = (parent: SealedSnapshot | undefined): Hash =>
  hash(
    canonical({
      grandParentSnapshotProof: parent?.publicData.parentSnapshotProof ?? "",
      parentSnapshotId: parent?.publicData.snapshotId ?? "",
      parentSnapshotCiphertextHash: parent === undefined ? "" : hash(parent.ciphertext)
    })
  )

type SignatureDomain = "secsync_snapshot" | "secsync_update" | "secsync_ephemeral_message"

const seal = <PublicData extends object>(
  domain: SignatureDomain,
  author: Author,
  { ciphertext: given, additional }: MessageOptions,
  fields: PublicData
): SealedMessage<PublicData> => {
  const publicData = { ...additional, ...fields }
  const ciphertext = typeof given === "string" ? given : randomBase64(given ?? 64)
  const nonce = randomBase64(24)
  return { ciphertext, nonce, publicData, signature: sign(author, domain, { ciphertext, nonce }, publicData) }
}

/**
 * Ed25519 over the UTF-8 bytes of DOMAIN + canonicalJson({nonce, ciphertext, publicData}), where `publicData` is
 * itself base64url(canonicalJson(publicData)); canonical JSON is RFC 8785.
 */
const sign = (
  author: Author,
  domain: SignatureDomain,
  sealed: { readonly ciphertext: string; readonly nonce: string },
  publicData: object
): string => {
  const content = canonical({ ...sealed, publicData: Buffer.from(canonical(publicData)).toString("base64url") })
  return signText(null, Buffer.from(domain + content), keyOf(author)).toString("base64url")
}

const keys = new WeakMap<Author, KeyObject>()

/** The author's key for Node's own Ed25519, which makes the same signatures in a tenth of the time. */
const keyOf = (author: Author): KeyObject => {
  const known = keys.get(author)
  if (known !== undefined) return known
  // RFC 8410: what comes before the seed, the first half of libsodium's private key.
  const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), author.privateKey.subarray(0, 32)])
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" })
  keys.set(author, key)
  return key
}

/** Messages are told apart by shape, in this order. */
const domainOf = (publicData: object): SignatureDomain => {
  if ("snapshotId" in publicData) return "secsync_snapshot"
  return "refSnapshotId" in publicData ? "secsync_update" : "secsync_ephemeral_message"
}

const hash = (text: string): Hash => Hash.make(sodium.crypto_generichash(32, text, null, "base64"))

const randomBase64 = (bytes: number): string => randomBytes(bytes).toString("base64url")

const canonical = (value: object): string => {
  const text = canonicalize(value)
  if (text === undefined) throw new Error("Not a value of JSON")
  return text
}
