/** Large frames are decoded on a thread exactly as small ones are on the main thread. */
import { assert, describe, it } from "@effect/vitest"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { makeLargeDecoder } from "@sealog/server/protocols/secsync/LargeDecoder"
import { makeDecoder, type PublicDataSchemas, snapshotFrame } from "@sealog/server/protocols/secsync/Wire"
import { verifySignature } from "@sealog/server/signatures/verifySignature"
import { ephemeralMessage, makeAuthor, snapshotMessage, updateMessage } from "@sealog/server/testing"
import { Effect, Schema } from "effect"
import fc from "fast-check"

const author = makeAuthor()

const textOf = (kind: number, ciphertext: number, additional: object, change: (text: string) => string): string => {
  const options = { docId: "Grüße", ciphertext, additional: { ...additional } }
  const snapshot = snapshotMessage(author, { ...options, clocks: { [author.pubKey]: 3 } })
  const update = updateMessage(author, { ...options, refSnapshotId: "first", clock: 7 })
  return change(JSON.stringify([snapshot, update, ephemeralMessage(author, options)][kind]))
}

const changes: ReadonlyArray<(text: string) => string> = [
  (text) => text,
  (text) => text,
  (text) => text.slice(1),
  (text) => text.replace(/"nonce":"[^"]*"/, '"nonce":""'),
  (text) => text.replace(/"signature":"./, '"signature":"_'),
  (text) => text.replace("{", '{"additionalServerData":{"for":["the",{"policy":1}]},'),
  (text) => text.replace("first", "other")
]

const schemas: PublicDataSchemas = {
  snapshot: Schema.Struct({ title: Schema.String }),
  update: Schema.Struct({ title: Schema.String }),
  ephemeralMessage: Schema.Struct({ title: Schema.String })
}

/** The message that the main thread makes of a text, with all that a thread adds. */
const expected = (text: string, schemas: PublicDataSchemas): unknown => {
  const message = makeDecoder(schemas)(text)
  if (!("signed" in message)) return message
  const isGenuine = verifySignature(message.signed)
  return {
    ...message,
    isGenuine,
    payloadHash: blake2b256(message.payload),
    signed: { ...message.signed, text: "" }
  }
}

/** Bytes as texts, whatever class holds them. */
const shown = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, field) =>
      field instanceof Uint8Array ? Buffer.from(field).toString("hex") : field instanceof Map ? [...field] : field
    ).replaceAll(/\{"type":"Buffer","data":(\[[^\]]*\])\}/g, (_, data) =>
      JSON.stringify(Buffer.from(JSON.parse(data)).toString("hex"))
    )
  )

describe("the decoder of large frames", () => {
  it.live("leaves a snapshot in the memory of its frame, which is not copied", () =>
    Effect.gen(function* () {
      const decodeLarge = yield* makeLargeDecoder()
      for (const ciphertext of [10, 100, 1000, 60_000, 300_000]) {
        const decoded = yield* decodeLarge(Buffer.from(textOf(0, ciphertext, {}, (text) => text)))
        assert(decoded._tag === "Snapshot")
        const frame = snapshotFrame(decoded.payload)
        assert.strictEqual(frame.buffer, decoded.payload.buffer)
        assert.deepStrictEqual(Buffer.from(frame), Buffer.from(snapshotFrame(Uint8Array.from(decoded.payload))))
        // Memory that is as large and holds something else is no frame.
        const other = Uint8Array.from(frame)
        other[0] = 0
        const payload = other.subarray(frame.length - 1 - decoded.payload.length, -1)
        assert.deepStrictEqual(Buffer.from(snapshotFrame(payload)), Buffer.from(frame))
      }
    })
  )

  for (const [name, app] of Object.entries({ "no schemas": {}, "schemas of the app": schemas })) {
    it.live(`decodes as the decoder of small frames, with ${name}`, () =>
      Effect.gen(function* () {
        const decodeLarge = yield* makeLargeDecoder(app)
        const kinds = fc.integer({ min: 0, max: 2 })
        const additional = fc.constantFrom({}, { title: "ü" }, { title: 5 })
        yield* Effect.promise(() =>
          fc.assert(
            fc.asyncProperty(
              kinds,
              fc.integer({ min: 1, max: 40_000 }),
              additional,
              fc.constantFrom(...changes),
              async (kind, bytes, additional, change) => {
                const text = textOf(kind, bytes, additional, change)
                const decoded = await Effect.runPromise(decodeLarge(Buffer.from(text)))
                assert.deepStrictEqual(shown(decoded), shown(expected(text, app)))
              }
            ),
            { numRuns: 60 }
          )
        )
      })
    )
  }
})
