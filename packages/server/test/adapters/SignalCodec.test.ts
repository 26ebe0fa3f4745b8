import { assert, describe, it } from "@effect/vitest"
import { announcements, broadcastParts, makeReader } from "../../src/adapters/SignalCodec.ts"
import { libraryAdministration, serverAdministration } from "../../src/domain/Administration.ts"
import { DocumentId, LibraryId } from "../../src/domain/Ids.ts"

const MAX_BYTES = 3000

const library = LibraryId.make("𝒩otes".padEnd(200, "🌳"))
const keys = [
  { libraryId: library, streamId: "document" },
  { libraryId: library, streamId: DocumentId.make("🌳".repeat(200)) },
  { libraryId: library, streamId: "@verdant" },
  libraryAdministration(library),
  serverAdministration
]

describe("the codec of signals", () => {
  it("names every stream that a log can hold, also the server's own", () => {
    const read = makeReader("other")
    const texts = announcements("one", keys, MAX_BYTES)
    for (const text of texts) assert.isAtMost(Buffer.byteLength(text), MAX_BYTES)
    const heard: ReadonlyArray<unknown> = texts.map(read)
    assert.deepStrictEqual(heard.flat(), keys)
  })

  it("ignores the texts of its own process", () => {
    const read = makeReader("one")
    for (const text of announcements("one", keys, MAX_BYTES)) assert.isUndefined(read(text))
  })

  it("splits a broadcast that is larger than a text", () => {
    const read = makeReader("other")
    const frame = Buffer.from("x".repeat(15_000))
    const texts = broadcastParts("one", { key: serverAdministration, frame }, MAX_BYTES)
    assert.isAbove(texts.length, 5)
    const heard = texts.map(read).filter((found) => found !== undefined)
    assert.deepStrictEqual(heard, [{ key: serverAdministration, frame }])
  })

  it.each([
    "",
    "null",
    "{}",
    '{"from":"one","streams":[["a"]]}',
    '{"from":"one","streams":[[1,2]]}',
    '{"from":"one","key":["a","b"],"part":1,"isLast":true}'
  ])("ignores a text that is no signal: %s", (text) => {
    assert.isUndefined(makeReader("other")(text))
  })
})
