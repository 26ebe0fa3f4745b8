/** URLs of connections, and signed links to files. */
import { DocumentId, FileId, LibraryId } from "@sealog/server/domain/Ids"
import { parseTarget } from "@sealog/server/protocols/secsync/ConnectionUrl"
import { isVerdantPath, VERDANT_PATH } from "@sealog/server/protocols/verdant/ConnectionUrl"
import { FileLinks } from "@sealog/server/protocols/verdant/files/FileLinks"
import { Duration, Effect, Exit, Layer, Redacted, Schema } from "effect"
import type { Random } from "../../test/support/random.ts"
import { expect, type Fuzzer, refusedWith, textOf } from "../Fuzzer.ts"
import { chance, oneOf } from "../inputs/choose.ts"
import { hostileText } from "../inputs/hostile.ts"
import { mutate } from "../inputs/mutate.ts"
import { SECRET } from "../inputs/samples.ts"

const clocks = encodeURIComponent(JSON.stringify({ ["A".repeat(43)]: 3 }))
export const secsyncUrls = [
  "/welcome?sessionKey=a.b.c",
  "/welcome?sessionKey=a.b.c&mode=delta&knownSnapshotId=first",
  `/welcome?sessionKey=a.b.c&mode=delta&knownSnapshotId=first&knownSnapshotUpdateClocks=${clocks}`,
  "/verdant?sessionKey=a.b.c",
  "/verdant",
  "//welcome/..%2f%C3%A9?sessionKey=%",
  "http://other:99999/welcome?sessionKey=a",
  "/"
]

const isDocumentId = Schema.is(DocumentId)

export const connectionUrl: Fuzzer = {
  name: "connection-url",
  allows: "a target, or undefined; never throws.",
  inputs: 30_000,
  open: Effect.succeed({
    input: (random) => {
      const parameters = ["sessionKey", "mode", "knownSnapshotId", "knownSnapshotUpdateClocks"]
      return chance(random, 60)
        ? mutate(random, secsyncUrls)
        : Buffer.from(`/${hostileText(random)}?${oneOf(random, parameters)}=${hostileText(random)}`)
    },
    feed: (input) => {
      // Node hands on a request's URL with a character for each byte.
      const url = Buffer.from(input).toString("latin1")
      const isVerdant = isVerdantPath(url)
      expect(!isVerdant || url.startsWith(VERDANT_PATH), "a Verdant URL begins with Verdant's path")
      const target = parseTarget(url)
      if (target === undefined) return "refusal"
      expect(target.documentId === undefined || isDocumentId(target.documentId), "a document's id is one")
      expect(target.known.clocks instanceof Map, "clocks are a map")
      return target.documentId === undefined ? "refusal" : "value"
    }
  })
}

const [FILE, OTHER] = [FileId.make("f1"), FileId.make("f2")]

export const fileLink: Fuzzer = {
  name: "file-link",
  allows: "the library that the link was signed for, or `LinkRefused`.",
  inputs: 20_000,
  open: Effect.gen(function* () {
    const links = yield* FileLinks
    const real = yield* links.sign(LibraryId.make("notes"), FILE, Duration.days(1))
    return {
      input: (random: Random) =>
        mutate(random, [`f1?${real}`, `f2?${real}`, "f1?library=notes&expires=9999999999&signature=AA"]),
      feed: (input: Uint8Array) => {
        const [id, ...query] = textOf(input).split("?")
        const parameters = new URLSearchParams(query.join("?"))
        const exit = Effect.runSyncExit(links.verify(id === "f1" ? FILE : OTHER, parameters))
        if (Exit.isFailure(exit)) return refusedWith(exit, "LinkRefused")
        expect(id === "f1" && exit.value === "notes", "the link was signed for this file")
        expect(parameters.get("expires") === real.get("expires"), "the link was signed with this expiry")
        return "value"
      }
    }
  }).pipe(Effect.provide(Layer.fresh(FileLinks.layerTokens([Redacted.make(SECRET)]))), Effect.orDie)
}
