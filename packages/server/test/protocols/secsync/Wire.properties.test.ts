/** Updates, and the clocks of a URL, are decoded by hand. The schemas are what they are held to, for any text. */
import { assert, describe, it } from "@effect/vitest"
import { Option, Result, Schema } from "effect"
import fc from "fast-check"
import { blake2b256 } from "../../../src/domain/Blake2b.ts"
import { LibraryId, UpdateClocks } from "../../../src/domain/Ids.ts"
import { emptyHead, place } from "../../../src/domain/Stream.ts"
import { DocumentEvent, fromStreamEvent } from "../../../src/domain/secsync/Events.ts"
import { makeDecoder, parseKnownClocks } from "../../../src/protocols/secsync/Wire.ts"
import { makeAuthor, updateMessage } from "../../../src/testing/SealedMessages.ts"

const update = updateMessage(makeAuthor(), { docId: "notes/é", refSnapshotId: "first", clock: 7 })

/** JSON texts, among them those that `JSON.stringify` does not make, and shapes that almost pass. */
const anyValue = fc.oneof(
  fc.constantFrom(
    "0",
    "-0",
    "1e3",
    "1.0",
    "1.5",
    "-1",
    "9007199254740991",
    "9007199254740992",
    "1e400",
    "null",
    "true"
  ),
  fc.constantFrom("[]", "{}", '"\\ud800"', '"A"', '"A\\n"', '"%C3%A9 %20"', '""', '"__proto__"', '"é"'),
  fc.integer({ min: 0, max: 90 }).map((length) => JSON.stringify("A".repeat(length))),
  fc.json({ maxDepth: 2 })
)
const anyName = fc.oneof(
  fc.constantFrom("clock", "docId", "pubKey", "refSnapshotId", "snapshotId", "ciphertext", "nonce", "signature"),
  fc.constantFrom("publicData", "additionalServerData", "payloadBytes", "__proto__", "constructor", "room"),
  fc.string({ unit: "grapheme", maxLength: 4 })
)

/** Fields to set, by their JSON text; undefined: the field is left out. */
const anyChanges = fc.array(fc.tuple(anyName, fc.option(anyValue, { nil: undefined })), { maxLength: 2 })

/** The text of an object whose fields are given as texts. A name may come twice, as in any JSON. */
const objectText = (
  fields: Readonly<Record<string, unknown>>,
  changes: ReadonlyArray<readonly [string, string | undefined]>
): string => {
  const entries = Object.entries(fields).map(([name, value]) => [name, value] as const)
  const kept = entries.filter(([name]) => !changes.some(([changed]) => changed === name))
  const changed = changes.flatMap(([name, text]) => (text === undefined ? [] : [[name, text] as const]))
  const members = [...kept.map(([name, value]) => [name, JSON.stringify(value)] as const), ...changed]
  return `{${members.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(",")}}`
}

const anyFrame = fc.tuple(anyChanges, anyChanges, fc.boolean()).map(([outer, inner, isLast]) => {
  const { publicData, ...rest } = update
  const placed: ReadonlyArray<readonly [string, string]> = [["publicData", objectText(publicData, inner)]]
  return objectText(rest, isLast ? [...outer, ...placed] : [...placed, ...outer])
})

describe("a frame with an update", () => {
  it("is decoded by hand as by the schema, for any change to its fields", () => {
    const decoders = [makeDecoder(), makeDecoder({ update: Schema.Struct({ clock: Schema.Literal(7) }) })]
    const seen = new Set<string>()
    fc.assert(
      fc.property(anyFrame, (frame) => {
        // A field that a message does not have is ignored, and makes the schema decide.
        const bySchema = frame.replace(/}$/, ',"ignored":0}')
        for (const decode of decoders) {
          const decoded = decode(frame)
          seen.add(decoded._tag)
          assert.deepStrictEqual(decoded, decode(bySchema))
        }
      }),
      { numRuns: 3000 }
    )
    assert.includeMembers([...seen], ["Update", "MalformedUpdate", "NotAMessage"])
  })
})

describe("a stored update", () => {
  it("is decoded by hand as by the schema, for any data", () => {
    const decodeBySchema = Schema.decodeUnknownSync(DocumentEvent)
    const key = { libraryId: LibraryId.make("notes"), streamId: "welcome" }
    const { clock, pubKey, refSnapshotId } = update.publicData
    const sized = { refSnapshotId, pubKey, clock, payloadBytes: 400 }
    // A damaged row may hold any JSON.
    const anyData = fc.oneof(
      { weight: 9, arbitrary: anyChanges.map((changes) => objectText(sized, changes)) },
      { weight: 1, arbitrary: fc.constantFrom("null", "1", "true", '"text"', "[]", "[1]") }
    )
    const seen = new Set<boolean>()
    fc.assert(
      fc.property(anyData, (text) => {
        const data: object = JSON.parse(text)
        const event = place(
          key,
          emptyHead,
          { type: "UpdateStored", data: {}, payloadHash: blake2b256(""), checkpoint: false },
          "test",
          0
        )
        const expected = Result.try(() => decodeBySchema({ ...data, _tag: event.type }))
        const decoded = Result.try(() => fromStreamEvent({ ...event, data }))
        seen.add(Result.isSuccess(decoded))
        if (Result.isFailure(expected)) {
          assert.strictEqual(String(Result.isFailure(decoded) && decoded.failure), String(expected.failure))
        } else assert.deepStrictEqual(Result.getOrThrow(decoded), expected.success)
      }),
      { numRuns: 3000 }
    )
    assert.strictEqual(seen.size, 2)
  })
})

describe("the clocks in the URL of a connection", () => {
  it("are those that the schema decodes, and none if it decodes none", () => {
    const decode = Schema.decodeUnknownOption(Schema.fromJsonString(UpdateClocks))
    const author = fc.oneof(fc.constantFrom("A".repeat(43), "B".repeat(43), "A".repeat(44), "__proto__"), anyName)
    const members = fc.array(fc.tuple(author, fc.oneof(fc.nat().map(String), anyValue)), { maxLength: 3 })
    const text = fc.oneof(
      members.map((fields) => objectText({}, fields)),
      anyValue,
      fc.string()
    )
    fc.assert(
      fc.property(text, (text) => {
        const expected = Option.getOrElse(decode(text), () => ({}))
        assert.deepStrictEqual(Object.fromEntries(parseKnownClocks(text)), expected, text)
      }),
      { numRuns: 3000 }
    )
    assert.strictEqual(parseKnownClocks(null).size, 0)
  })
})
