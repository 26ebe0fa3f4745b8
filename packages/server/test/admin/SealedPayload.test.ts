/** The signed text of an ordinary update is read from its payload as the decoder makes it, and any other payload is decoded. */
import { assert, describe, it } from "@effect/vitest"
import { decodedProblem, payloadProblem, signedByEvent } from "@sealog/server/admin/verify/SealedPayload"
import { LibraryId } from "@sealog/server/domain/Ids"
import type { StreamKey } from "@sealog/server/domain/Stream"
import type { UpdateStored } from "@sealog/server/domain/secsync/Events"
import { makeDecoder } from "@sealog/server/protocols/secsync/Wire"
import { makeAuthor, updateMessage } from "@sealog/server/testing"
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
})
