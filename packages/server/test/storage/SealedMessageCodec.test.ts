import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { blake2b256 } from "../../src/domain/Blake2b.ts"
import { LibraryId } from "../../src/domain/Ids.ts"
import { allAtOnce } from "../../src/domain/Steps.ts"
import { emptyHead, place, type StreamEvent, type StreamKey } from "../../src/domain/Stream.ts"
import { makeDecoder } from "../../src/protocols/secsync/Wire.ts"
import { packMessage, unpackMessage, unpackMessageInSteps } from "../../src/storage/SealedMessageCodec.ts"
import { type Additional, makeAuthor, snapshotMessage, updateMessage } from "../../src/testing/index.ts"

const key: StreamKey = { libraryId: LibraryId.make("notes"), streamId: "welcome" }
const author = makeAuthor()
const decode = makeDecoder()

const decodedOf = (message: object) => {
  const decoded = decode(JSON.stringify(message))
  if (!("payload" in decoded)) throw new Error(decoded._tag)
  return decoded
}

const payloadOf = (message: object): Uint8Array => decodedOf(message).payload

const placed = (type: string, data: object, payload: Uint8Array): StreamEvent =>
  place(key, emptyHead, { type, data, payloadHash: blake2b256(payload), checkpoint: false }, "test", 0)

const anUpdate = (ciphertext: string | number, additional: Additional = {}) => {
  const message = updateMessage(author, {
    docId: key.streamId,
    refSnapshotId: "first",
    clock: 7,
    ciphertext,
    additional
  })
  const payload = payloadOf(message)
  const { clock, pubKey, refSnapshotId } = message.publicData
  return { payload, event: placed("UpdateStored", { refSnapshotId, pubKey, clock }, payload) }
}

const assertKept = (event: StreamEvent, payload: Uint8Array) => {
  const unpacked = unpackMessage(key, event, packMessage(key, event, payload))
  assert.strictEqual(Buffer.from(unpacked).toString("hex"), Buffer.from(payload).toString("hex"))
}

describe("the codec of sealed messages", () => {
  it("packs of an update only what its event does not repeat: nonce, signature and ciphertext", () => {
    for (const bytes of [1, 2, 3, 100, 1000]) {
      const { event, payload } = anUpdate(bytes)
      const ciphertext = JSON.parse(Buffer.from(payload).toString()).ciphertext
      assert.lengthOf(packMessage(key, event, payload), 1 + 24 + 64 + Buffer.from(ciphertext, "base64url").length)
      assertKept(event, payload)
    }
  })

  it("packs a snapshot without base64, whatever public data its app adds", () => {
    const first = snapshotMessage(author, { docId: key.streamId, ciphertext: 3000 })
    const child = snapshotMessage(author, {
      docId: key.streamId,
      ciphertext: 3001,
      parent: first,
      clocks: { [author.pubKey]: 3 },
      additional: { title: "Grüße — 你好", nested: [{ a: null }] }
    })
    for (const message of [first, child]) {
      const payload = payloadOf(message)
      const { docId: _, ...data } = message.publicData
      const event = placed("SnapshotStored", { ...data, ciphertextHash: blake2b256(message.ciphertext) }, payload)
      assert.isBelow(packMessage(key, event, payload).length, 3500)
      assertKept(event, payload)
    }
  })

  it("packs of a snapshot only what its event does not repeat, though the event has fields of its own", () => {
    const message = snapshotMessage(author, { docId: key.streamId, ciphertext: 3000 })
    const payload = payloadOf(message)
    const { docId: _, ...publicData } = message.publicData
    const data = { ...publicData, ciphertextHash: blake2b256(message.ciphertext) }
    const ownFields = [
      {},
      { payloadBytes: payload.length },
      { payloadBytes: payload.length, parentLost: true },
      // A server of this version reads it during a rolling upgrade to the later one.
      { ofALaterVersion: 1 }
    ]
    for (const own of ownFields) {
      const event = placed("SnapshotStored", { ...data, ...own }, payload)
      assert.lengthOf(packMessage(key, event, payload), 1 + 24 + 64 + 3000)
      assertKept(event, payload)
    }
  })

  it("keeps a field that an app adds under the name of a field of the event", () => {
    const additional = { payloadBytes: 5, parentLost: true, ciphertextHash: "" }
    const message = snapshotMessage(author, { docId: key.streamId, ciphertext: 30, additional })
    const payload = payloadOf(message)
    const { docId: _, ...data } = message.publicData
    assertKept(placed("SnapshotStored", data, payload), payload)
  })

  it("keeps the public data that an app adds to an update", () => {
    const { event, payload } = anUpdate(100, { room: "ü", "": { deep: [1, 2, "\u2028"] } })
    assert.isBelow(packMessage(key, event, payload).length, payload.length)
    assertKept(event, payload)
  })

  it("packs the decoded fields of a message to the same bytes as its payload", () => {
    const base64 = fc.stringMatching(/^[A-Za-z0-9_-]+$/)
    const signature = fc.stringMatching(/^[A-Za-z0-9_-]{86}$/)
    const docId = fc.constantFrom(key.streamId, "elsewhere", "Grüße", "你好")
    const additional = fc.constantFrom({}, {}, { title: "Grüße" }, { payloadBytes: 3 }, { parentLost: true })
    fc.assert(
      fc.property(
        base64,
        signature,
        docId,
        additional,
        fc.boolean(),
        (ciphertext, signature, docId, extra, isUpdate) => {
          const options = { docId, ciphertext, additional: extra }
          const message = {
            ...(isUpdate
              ? updateMessage(author, { ...options, refSnapshotId: "first", clock: 7 })
              : snapshotMessage(author, options)),
            signature
          }
          const { packed, payload } = decodedOf(message)
          const { docId: _, ...data } = message.publicData
          const own = isUpdate ? {} : { ciphertextHash: blake2b256(ciphertext), payloadBytes: payload.length }
          const event = placed(isUpdate ? "UpdateStored" : "SnapshotStored", { ...data, ...own }, payload)
          for (const place of [key, { ...key, streamId: docId }]) {
            const plain = packMessage(place, event, payload)
            assert.deepStrictEqual(Buffer.from(packMessage(place, event, payload, packed)), Buffer.from(plain))
            assert.deepStrictEqual(Buffer.from(unpackMessage(place, event, plain)), Buffer.from(payload))
          }
        }
      ),
      { numRuns: 500 }
    )
  })

  it("unpacks large messages in steps to what it unpacks at once, damaged ones too", () => {
    const bytes = 1_200_000
    const update = anUpdate(bytes)
    const other = anUpdate(bytes, { room: "ü" })
    for (const { event, payload } of [update, other]) {
      const packed = packMessage(key, event, payload)
      let steps = 0
      const work = unpackMessageInSteps(key, event, packed)
      let step = work.next()
      for (; step.done !== true; step = work.next()) steps += 1
      assert.isTrue(Buffer.from(step.value).equals(payload))
      assert.isAtLeast(steps, 3)
    }
    const packed = packMessage(key, other.event, other.payload)
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 255 }), (at, value) => {
        const damaged = Buffer.from(packed)
        damaged[at] = value
        const inSteps = allAtOnce(unpackMessageInSteps(key, other.event, damaged))
        assert.isTrue(Buffer.from(inSteps).equals(unpackMessage(key, other.event, damaged)))
      }),
      { numRuns: 50 }
    )
  })

  it("stores what only looks like a message, byte for byte", () => {
    const { event, payload } = anUpdate(100)
    const text = Buffer.from(payload).toString()
    const [nonce] = /(?<="nonce":")[^"]+/.exec(text) ?? [""]
    for (const other of [
      // Base64 that no bytes encode to, or that encodes other bytes.
      text.replace('"ciphertext":"', '"ciphertext":"A'),
      text.replace('"ciphertext":"', '"ciphertext":"=='),
      text.replace(/"ciphertext":"[^"]+/, '"ciphertext":"AB'),
      text.replace(/"ciphertext":"[^"]+/, '"ciphertext":"'),
      text.replace(nonce, `${nonce.slice(0, -1)}!`),
      text.replace(nonce, ""),
      text.replace("}", "} "),
      `${text} `,
      text.slice(0, -1),
      text.slice(0, 15),
      text.slice(0, 60),
      text.replace('"clock":7', '"clock":8'),
      '{"ciphertext":"',
      '{"ciphertext":"","nonce":"","publicData":,"signature":""}'
    ]) {
      assertKept(event, Buffer.from(other))
    }
  })

  it("stores any bytes, and unpacks damaged bytes to a payload with another hash", () => {
    const { event, payload } = anUpdate(20)
    const packed = packMessage(key, event, payload)
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => assertKept(event, bytes)))
    fc.assert(
      fc.property(fc.nat(packed.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const damaged = Uint8Array.from(packed)
        damaged[at]! ^= flip
        assert.notStrictEqual(blake2b256(unpackMessage(key, event, damaged)), event.payloadHash)
        unpackMessage(key, event, packed.subarray(0, at))
        unpackMessage(key, { ...event, data: null as never }, packed)
      })
    )
  })
})
