/** Signed links to files: their lifetime, their signature, and the rotation of secrets. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { FileId, LibraryId } from "../../../../src/domain/Ids.ts"
import { FileLinks } from "../../../../src/protocols/verdant/files/FileLinks.ts"

const secret = (name: string) => Redacted.make(`${name}-secret-that-only-tests-have-0123456789`)
const linksOf = (...names: ReadonlyArray<string>) => Effect.provide(FileLinks, FileLinks.layerTokens(names.map(secret)))

const libraryId = LibraryId.make("ä&lib=1 of\u00b73".replaceAll(" ", "+"))
const fileId = FileId.make("clx0000000000000000000000")
const hour = Duration.hours(1)

const reason = (links: FileLinks["Service"], id: FileId, query: URLSearchParams) =>
  Effect.map(Effect.flip(links.verify(id, query)), ({ reason }) => reason)

/** Another text for the same 32 bytes: the last two bits of its last character belong to none of them. */
const sameBytes = (text: string): string => {
  const bytes = Buffer.from(text, "base64url")
  const last = Array.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_").find(
    (other) => other !== text.at(-1) && Buffer.from(text.slice(0, -1) + other, "base64url").equals(bytes)
  )
  return text.slice(0, -1) + last
}

describe("a link to a file", () => {
  it.effect("is not signed with a secret that is short enough to guess", () =>
    Effect.gen(function* () {
      const layer = FileLinks.layerTokens([secret("one"), Redacted.make("short")])
      const error = yield* Effect.flip(Effect.provide(Effect.asVoid(FileLinks), layer))
      assert.strictEqual(error.message, "A token secret has 5 bytes; HS256 needs at least 32 (RFC 7518, 3.2).")
    })
  )

  it.effect("gives back its file's library after a round trip as text", () =>
    Effect.gen(function* () {
      const links = yield* linksOf("one")
      const query = yield* links.sign(libraryId, fileId, hour)
      assert.strictEqual(yield* links.verify(fileId, new URLSearchParams(query.toString())), libraryId)
    })
  )

  it.effect("is valid for its lifetime and at most twice as long, and stays the same for a while", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.UTC(2026, 0, 1, 12, 20))
      const links = yield* linksOf("one")
      const query = yield* links.sign(libraryId, fileId, hour)
      yield* TestClock.adjust("30 minutes")
      assert.strictEqual(String(yield* links.sign(libraryId, fileId, hour)), String(query))
      yield* TestClock.adjust("30 minutes")
      assert.notStrictEqual(String(yield* links.sign(libraryId, fileId, hour)), String(query))
      yield* links.verify(fileId, query)
      yield* TestClock.adjust("39 minutes")
      yield* links.verify(fileId, query)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* reason(links, fileId, query), "expired")
    })
  )

  it.effect("is refused when any part of it is changed", () =>
    Effect.gen(function* () {
      const links = yield* linksOf("one")
      const query = yield* links.sign(libraryId, fileId, hour)
      const changes: ReadonlyArray<readonly [string, string | undefined]> = [
        ["library", "other"],
        ["library", `${libraryId}\n`],
        ["library", undefined],
        ["expires", String(Number(query.get("expires")) + 1)],
        ["expires", "Infinity"],
        ["expires", `+${query.get("expires")}`],
        ["expires", `${query.get("expires")}.0`],
        ["expires", ` ${query.get("expires")}`],
        ["expires", "1e99"],
        ["expires", undefined],
        ["signature", ""],
        ["signature", "A".repeat(43)],
        ["signature", query.get("signature")!.slice(1)],
        ["signature", `${query.get("signature")}=`],
        ["signature", `${query.get("signature")}!`],
        ["signature", query.get("signature")!.replace(/^./, "$& ")],
        ["signature", sameBytes(query.get("signature")!)],
        ["signature", undefined]
      ]
      for (const [name, value] of changes) {
        const changed = new URLSearchParams(query)
        if (value === undefined) changed.delete(name)
        else changed.set(name, value)
        assert.strictEqual(yield* reason(links, fileId, changed), "signature", `${name}=${value}`)
      }
      assert.strictEqual(yield* reason(links, FileId.make("another"), query), "signature")
      for (const added of ["library", "expires", "signature", "other"]) {
        const longer = new URLSearchParams(query)
        longer.append(added, query.get(added) ?? "x")
        assert.strictEqual(yield* reason(links, fileId, longer), "signature", `a second ${added}`)
      }
    })
  )

  it.effect("stays valid after a rotation, as long as its secret still verifies", () =>
    Effect.gen(function* () {
      const query = yield* (yield* linksOf("old")).sign(libraryId, fileId, hour)
      assert.strictEqual(yield* (yield* linksOf("new", "old")).verify(fileId, query), libraryId)
      assert.strictEqual(yield* reason(yield* linksOf("new"), fileId, query), "signature")
      assert.strictEqual(
        yield* (yield* linksOf("new")).verify(
          fileId,
          yield* (yield* linksOf("new", "old")).sign(libraryId, fileId, hour)
        ),
        libraryId
      )
    })
  )
})
