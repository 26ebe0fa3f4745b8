/**
 * Notes that are signed with Ed25519, in the format of C2SP signed-note (https://c2sp.org/signed-note), and the checkpoints of a
 * Merkle tree in the format of C2SP tlog-checkpoint (https://c2sp.org/tlog-checkpoint). Keys are texts, as Go's
 * `golang.org/x/mod/sumdb/note` writes them.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign, verify } from "node:crypto"

export interface Signer {
  readonly name: string
  readonly privateKey: KeyObject
  readonly verifier: Verifier
}

export interface Verifier {
  readonly name: string
  readonly publicKey: KeyObject
  /** Four bytes that name the key in a signature. */
  readonly id: Buffer
  /** `NAME+HASH+KEY`: the key in words that other programs read. */
  readonly text: string
}

/** Ed25519, in the table of signature types. */
const ALGORITHM = Buffer.of(1)

/** The DER of a key is one of these and 32 bytes (RFC 8410). */
const PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex")
const SPKI = Buffer.from("302a300506032b6570032100", "hex")

const SIGNER = /^PRIVATE\+KEY\+([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]{44})$/
const VERIFIER = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]{44})$/
const NAME = /^[^+\s]{1,200}$/u

const verifierOf = (name: string, key: Buffer): Verifier => {
  const typed = Buffer.concat([ALGORITHM, key])
  const id = createHash("sha256").update(`${name}\n`).update(typed).digest().subarray(0, 4)
  return {
    name,
    id,
    publicKey: createPublicKey({ key: Buffer.concat([SPKI, key]), format: "der", type: "spki" }),
    text: `${name}+${id.toString("hex")}+${typed.toString("base64")}`
  }
}

const signerOf = (name: string, seed: Buffer): Signer => {
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: "der", type: "pkcs8" })
  const der = createPublicKey(privateKey).export({ format: "der", type: "spki" })
  return { name, privateKey, verifier: verifierOf(name, der.subarray(SPKI.length)) }
}

/** Reads `PRIVATE+KEY+NAME+HASH+KEY`. Undefined if it is not such a key. */
export const parseSigner = (text: string): Signer | undefined => {
  const [, name, id, key] = SIGNER.exec(text.trim()) ?? []
  const typed = Buffer.from(key ?? "", "base64")
  if (name === undefined || typed.length !== 33 || typed[0] !== ALGORITHM[0]) return undefined
  const signer = signerOf(name, typed.subarray(1))
  return signer.verifier.id.toString("hex") === id ? signer : undefined
}

/** Reads `NAME+HASH+KEY`. Undefined if it is not such a key. */
export const parseVerifier = (text: string): Verifier | undefined => {
  const [, name, id, key] = VERIFIER.exec(text.trim()) ?? []
  const typed = Buffer.from(key ?? "", "base64")
  if (name === undefined || typed.length !== 33 || typed[0] !== ALGORITHM[0]) return undefined
  const verifier = verifierOf(name, typed.subarray(1))
  return verifier.id.toString("hex") === id ? verifier : undefined
}

/** Makes a key pair. The name has no space and no `+`: by custom it is a host with a path. Undefined for another name. */
export const makeKeys = (name: string): { readonly signer: string; readonly verifier: string } | undefined => {
  if (!NAME.test(name)) return undefined
  const seed = randomBytes(32)
  const { id, text } = signerOf(name, seed).verifier
  const typed = Buffer.concat([ALGORITHM, seed]).toString("base64")
  return { signer: `PRIVATE+KEY+${name}+${id.toString("hex")}+${typed}`, verifier: text }
}

/** Signs a text, which ends with a line feed. */
export const signNote = (text: string, { name, privateKey, verifier }: Signer): string => {
  const signature = Buffer.concat([verifier.id, sign(null, Buffer.from(text), privateKey)])
  return `${text}\n— ${name} ${signature.toString("base64")}\n`
}

/** Returns the text of a note that this key has signed, among others perhaps; undefined if it has not. */
export const openNote = (note: string, verifier: Verifier): string | undefined => {
  const end = note.lastIndexOf("\n\n")
  if (end === -1) return undefined
  const text = note.slice(0, end + 1)
  const isSigned = note
    .slice(end + 2)
    .split("\n")
    .some((line) => {
      const [dash, name, signature, ...rest] = line.split(" ")
      if (dash !== "—" || name !== verifier.name || signature === undefined || rest.length > 0) return false
      const bytes = Buffer.from(signature, "base64")
      if (bytes.length !== 68 || !bytes.subarray(0, 4).equals(verifier.id)) return false
      return verify(null, Buffer.from(text), verifier.publicKey, bytes.subarray(4))
    })
  return isSigned ? text : undefined
}

/** The size and root hash of a Merkle tree. */
export interface TreeHead {
  /** Names the log, in the checkpoint's first line. */
  readonly origin: string
  readonly size: number
  readonly root: Buffer
}

export const checkpointText = ({ origin, root, size }: TreeHead): string =>
  `${origin}\n${size}\n${root.toString("base64")}\n`

/** Reads a checkpoint's text, with further lines ignored. Undefined if it is not one. */
export const parseCheckpoint = (text: string): TreeHead | undefined => {
  const [origin, size, root] = text.split("\n")
  if (origin === undefined || origin === "" || size === undefined || !/^(0|[1-9]\d{0,15})$/.test(size)) return undefined
  const hash = Buffer.from(root ?? "", "base64")
  return hash.length === 32 ? { origin, size: Number(size), root: hash } : undefined
}
