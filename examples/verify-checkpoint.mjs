/**
 * Verifies a proof of `sync-admin checkpoint prove`, with Node alone and none of Sealog's code:
 *
 *     node examples/verify-checkpoint.mjs VERIFIER proof.json [CHECKPOINT]
 *
 * CHECKPOINT is the file of the earlier checkpoint; a proof of consistency needs it. Prints one line, and exits with 1 if the proof
 * does not hold. Formats: https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint, RFC 9162, section 2.1.
 */
import { createHash, createPublicKey, verify } from "node:crypto"
import { readFileSync } from "node:fs"

const fail = (why) => {
  console.error(`The proof does not hold: ${why}.`)
  process.exit(1)
}

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest()
const node = (left, right) => sha256(Uint8Array.of(1), left, right)

/** Opens a signed checkpoint: the origin, size and root that the key has signed. */
const open = (note, verifier) => {
  const [, name, id, encoded] =
    /^(.+)\+([0-9a-f]{8})\+(.+)$/.exec(verifier) ?? fail("the verifier is not NAME+HASH+KEY")
  const key = Buffer.from(encoded, "base64")
  if (sha256(`${name}\n`, key).toString("hex", 0, 4) !== id) fail("the verifier's hash is not its key's")
  const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), key.subarray(1)])
  const publicKey = createPublicKey({ key: spki, format: "der", type: "spki" })
  const end = note.lastIndexOf("\n\n")
  const text = note.slice(0, end + 1)
  const isSigned = note
    .slice(end + 2)
    .split("\n")
    .filter((line) => line.startsWith(`— ${name} `))
    .map((line) => Buffer.from(line.split(" ")[2], "base64"))
    .some(
      (bytes) => bytes.toString("hex", 0, 4) === id && verify(null, Buffer.from(text), publicKey, bytes.subarray(4))
    )
  if (!isSigned) fail("the key has not signed the checkpoint")
  const [origin, size, root] = text.split("\n")
  if (origin !== name) fail("the checkpoint is of another log")
  return { size: Number(size), root: Buffer.from(root, "base64") }
}

/** RFC 9162, section 2.1.3.2. */
const verifyInclusion = ({ entry, index, path }, { root, size }) => {
  let hash = sha256(Uint8Array.of(0), entry)
  let [fn, sn] = [index, size - 1]
  if (fn > sn) fail("the entry is beyond the checkpoint")
  for (const step of path) {
    if (sn === 0) fail("the path is too long")
    if (fn % 2 === 1 || fn === sn) {
      hash = node(step, hash)
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [fn / 2, Math.floor(sn / 2)]
    } else hash = node(hash, step)
    ;[fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)]
  }
  if (sn !== 0 || !hash.equals(root)) fail("the path does not lead to the checkpoint's root")
}

/** RFC 9162, section 2.1.4.2. */
const verifyConsistency = (path, first, second) => {
  if (first.size === second.size) return first.root.equals(second.root) || fail("the roots differ")
  const steps = Number.isInteger(Math.log2(first.size)) ? [first.root, ...path] : [...path]
  let [fn, sn] = [first.size - 1, second.size - 1]
  while (fn % 2 === 1) [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)]
  let [before, after] = [steps[0], steps[0]]
  for (const step of steps.slice(1)) {
    if (sn === 0) fail("the path is too long")
    if (fn % 2 === 1 || fn === sn) {
      ;[before, after] = [node(step, before), node(step, after)]
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [fn / 2, Math.floor(sn / 2)]
    } else after = node(after, step)
    ;[fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)]
  }
  if (sn !== 0 || !before.equals(first.root) || !after.equals(second.root)) fail("the path does not join the two roots")
}

const [verifier, proofFile, earlierFile] = process.argv.slice(2)
const proof = JSON.parse(readFileSync(proofFile, "utf8"))
const path = proof.path.map((hash) => Buffer.from(hash, "base64"))
const checkpoint = open(proof.checkpoint, verifier)
if (proof.type === "inclusion") {
  verifyInclusion({ ...proof, path }, checkpoint)
  console.log(`Entry ${proof.index} of the checkpoint of ${checkpoint.size} is ${proof.entry}`)
} else {
  const earlier = open(readFileSync(earlierFile, "utf8"), verifier)
  verifyConsistency(path, earlier, checkpoint)
  console.log(`The checkpoint of ${checkpoint.size} entries continues the one of ${earlier.size}`)
}
