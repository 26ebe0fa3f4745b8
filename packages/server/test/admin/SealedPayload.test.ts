/** The signed text of an ordinary update is read from its payload as the decoder makes it, and any other payload is decoded. */
import { assert, describe, it } from "@effect/vitest"
import type { PayloadProblem } from "@sealog/server/admin/verify/Report"
import { decodedProblem, packedProblem, payloadProblem, signedByEvent } from "@sealog/server/admin/verify/SealedPayload"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { LibraryId } from "@sealog/server/domain/Ids"
import { emptyHead, place, type StreamEvent, type StreamKey } from "@sealog/server/domain/Stream"
import { type DocumentEvent, fromStreamEvent, type UpdateStored } from "@sealog/server/domain/secsync/Events"
import { makeDecoder } from "@sealog/server/protocols/secsync/Wire"
import { verifyPacked } from "@sealog/server/signatures/verifyPacked"
import { verifySignature } from "@sealog/server/signatures/verifySignature"
import { leavePacked, packMessage, unpackMessage } from "@sealog/server/storage/SealedMessageCodec"
import { makeAuthor, updateMessage } from "@sealog/server/testing"
import { Result } from "effect"
import fc from "fast-check"

const author = makeAuthor()
const decode = makeDecoder()

const stored = (docId: string, ciphertext: string, additional: object = {}) => {
  const options = { docId, ciphertext, refSnapshotId: "first", clock: 7, additional: { ...additional } }
  const decoded = decode(JSON.stringify(updateMessage(author, options)))
  if (decoded._tag !== "Update") throw new Error(decoded._tag)
  const { clock, payload, pubKey, refSnapshotId } = decoded
  const event: UpdateStored = { _tag: "UpdateStored", clock, payloadBytes: payload.length, pubKey, refSnapshotId }
  return { event, payload, signed: decoded.signed }
}

const decodeEvent = (event: StreamEvent): DocumentEvent | undefined =>
  Result.getOrUndefined(Result.try(() => fromStreamEvent(event)))

type Found = Pick<PayloadProblem, "problem" | "detail"> | undefined

const settled = (found: PayloadProblem | undefined): Found =>
  found === undefined || (found.unless !== undefined && verifySignature(found.unless))
    ? undefined
    : { problem: found.problem, detail: found.detail }

/** The problem with a payload that was unpacked when it was read. */
const unpackedProblem = (key: StreamKey, event: StreamEvent, stored: Uint8Array): Found => {
  const payload = unpackMessage(key, event, stored)
  if (blake2b256(payload) !== event.payloadHash) {
    return { problem: "payload-changed", detail: "the payload does not have the hash that the event names" }
  }
  const decoded = decodeEvent(event)
  return decoded === undefined ? undefined : settled(payloadProblem(key, decoded, payload))
}

const key = (streamId: string): StreamKey => ({ libraryId: LibraryId.make("notes"), streamId })

describe("the check of a sealed payload", () => {
  it("reads the signed text of an ordinary update without decoding it", () => {
    const { event, payload, signed } = stored("welcome", "abc")
    assert.deepStrictEqual(signedByEvent(key("welcome"), event, payload), signed)
  })

  it("finds what the decoder finds, whatever the payload and its event hold", () => {
    const docIds = fc.constantFrom("welcome", "welcome", "other", "a/b?c", "Grüße", 'a"b\\')
    const ciphertexts = fc.stringMatching(/^[A-Za-z0-9_-]+$/)
    const additional = fc.constantFrom({}, {}, {}, { title: "ü" }, { payloadBytes: 5 })
    const changes = fc.constantFrom<(text: string) => string>(
      (text) => text,
      (text) => text,
      (text) => text.replace("7", "8"),
      (text) => text.replace("first", "second"),
      (text) => text.replace('"nonce":"', '"nonce":"_'),
      (text) => text.replace(/"signature":"./, '"signature":"*'),
      (text) => text.replace('"ciphertext":"', '"ciphertext":"*'),
      (text) => text.replace('"ciphertext":"', '"ciphertext":"","ciphertext":"'),
      (text) => text.replace("}", ',"more":1}'),
      (text) => ` ${text}`,
      (text) => text.slice(0, -1)
    )
    const events = fc.constantFrom<Partial<UpdateStored>>({}, {}, {}, { clock: 8 }, { payloadBytes: 4 })
    fc.assert(
      fc.property(
        docIds,
        docIds,
        ciphertexts,
        additional,
        changes,
        events,
        (docId, other, ciphertext, more, change, lie) => {
          const { event, payload } = stored(docId, ciphertext, more)
          const changed = Buffer.from(change(Buffer.from(payload).toString()))
          for (const streamId of [docId, other]) {
            const said = { ...event, ...lie }
            const found = payloadProblem(key(streamId), said, changed)
            assert.deepStrictEqual(found, decodedProblem(key(streamId), said, changed))
          }
        }
      ),
      { numRuns: 1000 }
    )
  })

  it("finds of a packed update what it finds of the unpacked one, whatever bytes and event hold", () => {
    const other = makeAuthor()
    const docIds = fc.constantFrom("welcome", "welcome", "other", "Grüße", 'a"b\\')
    const events = fc.constantFrom<object>(
      ...Array<object>(12).fill({}),
      ...[{ clock: 8 }, { clock: 0.5 }, { clock: "7" }, { refSnapshotId: "second" }, { refSnapshotId: 1 }],
      ...[{ pubKey: other.pubKey }, { pubKey: "key" }, { pubKey: undefined }, { pubKey: "ü" }],
      ...[{ payloadBytes: 4 }, { payloadBytes: null }, { payloadBytes: undefined }]
    )
    const hashes = fc.constantFrom<(hash: string, actual: string) => string>(
      (hash) => hash,
      (hash) => hash,
      // As if the damage had been there when the event was written.
      (_, actual) => actual,
      () => ""
    )
    const damages = fc.option(fc.record({ at: fc.nat(200), bits: fc.integer({ min: 1, max: 255 }) }), { freq: 2 })
    const lengths = fc.constantFrom(...Array<number>(12).fill(0), -1, -40, -1000, 1)
    let right = 0
    fc.assert(
      fc.property(
        fc.record({ docId: docIds, otherId: fc.option(docIds, { freq: 2 }), bytes: fc.integer({ min: 1, max: 300 }) }),
        fc.constantFrom({}, {}, {}, { title: "ü" }),
        events,
        hashes,
        damages,
        lengths,
        ({ bytes, docId, otherId }, additional, lie, hash, damage, more) => {
          const streamId = otherId ?? docId
          const { event, payload } = stored(docId, "A".repeat(bytes), additional)
          const { _tag: type, ...data } = event
          const at = (payloadHash: string): StreamEvent =>
            place(
              key(streamId),
              emptyHead,
              {
                type,
                data: JSON.parse(JSON.stringify({ ...data, ...lie })),
                payloadHash: payloadHash as StreamEvent["payloadHash"],
                checkpoint: false
              },
              "test",
              0
            )
          const genuine = blake2b256(payload)
          const whole = packMessage(key(streamId), at(genuine), payload)
          const read = Buffer.alloc(Math.max(0, whole.length + more))
          read.set(whole.subarray(0, read.length))
          if (damage !== null && damage.at < read.length) read[damage.at]! ^= damage.bits
          const placed = at(hash(genuine, blake2b256(unpackMessage(key(streamId), at(genuine), read))))
          const packed = leavePacked(key(streamId), placed, read)
          if (packed === undefined) return
          const found = packedProblem(key(streamId), placed, packed, decodeEvent)
          const unless = found?.unless
          const isRight = unless !== undefined && "update" in unless && verifyPacked(unless.update)
          if (isRight) right += 1
          const problem =
            unless !== undefined && "update" in unless
              ? isRight
                ? undefined
                : settled(unless.unpacked())
              : settled(found as PayloadProblem | undefined)
          assert.deepStrictEqual(problem, unpackedProblem(key(streamId), placed, read))
        }
      ),
      { numRuns: 5000 }
    )
    assert.isAbove(right, 100)
  })

  it("verifies an ordinary update as it is packed", () => {
    const { event, payload } = stored("welcome", "abc")
    const { _tag: type, ...data } = event
    const payloadHash = blake2b256(payload)
    const placed = place(key("welcome"), emptyHead, { type, data, payloadHash, checkpoint: false }, "test", 0)
    const packed = leavePacked(key("welcome"), placed, packMessage(key("welcome"), placed, payload))!
    assert.isTrue(verifyPacked({ packed, payloadHash, pubKey: event.pubKey }))
    assert.isFalse(verifyPacked({ packed, payloadHash, pubKey: makeAuthor().pubKey }))
    assert.isFalse(verifyPacked({ packed, payloadHash: blake2b256("another"), pubKey: event.pubKey }))
  })
})
