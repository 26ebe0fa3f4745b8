/** Texts of signals, as Redis and Postgres carry them between processes. */
import { announcements, broadcastParts, makeReader } from "@sealog/server/adapters/SignalCodec"
import { DocumentId, LibraryId } from "@sealog/server/domain/Ids"
import { Effect } from "effect"
import { expect, type Fuzzer, textOf } from "../Fuzzer.ts"
import { few } from "../inputs/choose.ts"
import { mutate } from "../inputs/mutate.ts"

const key = { libraryId: LibraryId.make("notes"), streamId: DocumentId.make("welcome") }
const LIMIT = 8000
const TEXTS = [
  ...announcements("a", [key, { ...key, streamId: "@verdant" }], LIMIT),
  ...announcements("own", [key], LIMIT),
  ...broadcastParts("a", { key, frame: Buffer.alloc(100, "x") }, LIMIT),
  ...broadcastParts("b", { key, frame: Buffer.alloc(20_000, "y") }, LIMIT)
]

export const signal: Fuzzer = {
  name: "signal",
  allows: "streams, a broadcast, or undefined; never throws.",
  inputs: 5000,
  open: Effect.succeed({
    // A line is a text. Several in a row reach the parts of broadcasts.
    input: (random) =>
      Buffer.concat(Array.from({ length: few(random, 6) }, () => [mutate(random, TEXTS), Buffer.from("\n")]).flat()),
    feed: (input) => {
      const read = makeReader("own")
      let isValue = false
      for (const text of textOf(input).split("\n")) {
        const signal = read(text)
        if (signal === undefined) continue
        isValue = true
        const keys = "frame" in signal ? [signal.key] : signal
        for (const { libraryId, streamId } of keys) {
          expect(typeof libraryId === "string" && typeof streamId === "string", "a stream has a name")
        }
      }
      return isValue ? "value" : "refusal"
    }
  })
}
