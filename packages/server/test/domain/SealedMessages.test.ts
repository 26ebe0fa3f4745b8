/** The messages of tests and benches, checked with the real client's own functions. */
import { assert, describe, it } from "@effect/vitest"
import sodium from "libsodium-wrappers"
import * as secsync from "secsync"
import {
  type Author,
  childProof,
  ephemeralMessage,
  makeAuthor,
  randomId,
  resign,
  type SealedEphemeralMessage,
  type SealedSnapshot,
  type SealedUpdate,
  snapshotMessage,
  updateMessage
} from "../../src/testing/SealedMessages.ts"

await sodium.ready

describe("SealedMessages, checked by the secsync client", () => {
  const author = makeAuthor()
  const docId = randomId()
  const additional = { title: "Grüße €", nested: { z: [1, 2.5, null], a: true } }
  const first = snapshotMessage(author, { docId })
  const second = snapshotMessage(author, { docId, parent: first, clocks: { [author.pubKey]: 3 }, additional })
  const { snapshotId: refSnapshotId } = second.publicData
  const update = updateMessage(author, { docId, refSnapshotId, clock: 4, additional })
  const ephemeral = ephemeralMessage(author, { docId, additional })

  // The sealed bytes are random, so that the client's last step, decryption, fails. Its codes 101, 201 and 301 say that
  // signature, document, parent proof and clocks were valid.
  it("are signed as the client verifies them, additional fields included", () => {
    assert.strictEqual(verifySnapshot(second, first), "SECSYNC_ERROR_101")
    assert.strictEqual(verifyUpdate(update, 3), "SECSYNC_ERROR_201")
    assert.strictEqual(verifyEphemeral(ephemeral), "SECSYNC_ERROR_301")
    assert.strictEqual(verifyUpdate(resign(author, update, { clock: 5 }), 4), "SECSYNC_ERROR_201")
  })

  it("are refused by the client when a signed field was changed", () => {
    const forged = { title: "another" }
    assert.strictEqual(verifySnapshot({ ...second, ciphertext: first.ciphertext }, first), "SECSYNC_ERROR_111")
    assert.strictEqual(
      verifyUpdate({ ...update, publicData: { ...update.publicData, ...forged } }, 3),
      "SECSYNC_ERROR_212"
    )
    assert.strictEqual(verifyEphemeral({ ...ephemeral, nonce: update.nonce }), "SECSYNC_ERROR_308")
    assert.strictEqual(verifyUpdate(resign(makeAuthor(), update, {}), 3), "SECSYNC_ERROR_212")
  })

  it("carry the clocks and parents that the client expects", () => {
    assert.strictEqual(verifyUpdate(update, 2), "SECSYNC_ERROR_202")
    assert.strictEqual(verifySnapshot(snapshotMessage(author, { docId, parent: second }), first), "SECSYNC_ERROR_112")
    assert.strictEqual(verifySnapshot(snapshotMessage(author, { docId, parent: first }), first), "SECSYNC_ERROR_102")
  })

  it("have the signature and the proof that the client makes of the same content", () => {
    for (const parent of [undefined, first, second]) {
      const theirs = secsync.createSnapshot(
        "content",
        {
          docId,
          pubKey: author.pubKey,
          snapshotId: randomId(),
          parentSnapshotId: parent?.publicData.snapshotId ?? "",
          parentSnapshotUpdateClocks: {}
        },
        key,
        keyPairOf(author),
        parent === undefined ? "" : secsync.hash(parent.ciphertext, sodium),
        parent?.publicData.parentSnapshotProof ?? "",
        sodium
      )
      assert.strictEqual(resign(author, { ...theirs, signature: "" }, {}).signature, theirs.signature)
      assert.strictEqual(childProof(parent), theirs.publicData.parentSnapshotProof)
    }
    assert.strictEqual(first.publicData.parentSnapshotProof, childProof(undefined))
    assert.strictEqual(second.publicData.parentSnapshotProof, childProof(first))
  })

  it("have the shapes that the client parses", () => {
    assert.deepStrictEqual(secsync.parseSnapshotWithClientData(first), first)
    const plain = updateMessage(author, { docId, refSnapshotId, clock: 0 })
    assert.deepStrictEqual(secsync.parseUpdate(plain), plain)
    const bare = ephemeralMessage(author, { docId })
    assert.deepStrictEqual(secsync.parseEphemeralMessage(bare), bare)
  })

  const verifySnapshot = (snapshot: SealedSnapshot, parent: SealedSnapshot) =>
    secsync.verifyAndDecryptSnapshot(
      snapshot,
      key,
      docId,
      sodium.from_base64(author.pubKey),
      sodium,
      {
        snapshotId: parent.publicData.snapshotId,
        parentSnapshotProof: parent.publicData.parentSnapshotProof,
        snapshotCiphertextHash: secsync.hash(parent.ciphertext, sodium)
      },
      3
    ).error?.message

  const verifyUpdate = (update: SealedUpdate, lastClock: number) =>
    secsync.verifyAndDecryptUpdate(update, key, refSnapshotId, lastClock, sodium).error?.message

  const verifyEphemeral = (message: SealedEphemeralMessage) => {
    const session = { id: randomId(), counter: 0, validSessions: {} }
    return secsync.verifyAndDecryptEphemeralMessage(message, key, docId, session, keyPairOf(author), sodium).error
      ?.message
  }
})

/** A document's key. No message here was sealed with it. */
const key = sodium.randombytes_buf(32)

const keyPairOf = (author: Author) => ({
  publicKey: sodium.from_base64(author.pubKey),
  privateKey: author.privateKey,
  keyType: "ed25519" as const
})
