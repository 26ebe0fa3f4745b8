/**
 * Links that let whoever holds them download one file, for `<img>` and the like, which cannot send a token. They are
 * signed with keys made from the token secrets, so every process of an installation knows them.
 */
import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto"
import { Clock, Config, Context, Duration, Effect, Layer, Redacted, Schema } from "effect"
import { type FileId, LibraryId } from "../../../domain/Ids.ts"
import { VERDANT_PATH } from "../ConnectionUrl.ts"

export class LinkRefused extends Schema.TaggedError<LinkRefused>()("LinkRefused", {
  reason: Schema.Literals(["signature", "expired"])
}) {}

export class FileLinks extends Context.Service<
  FileLinks,
  {
    /** The query of a link that is good for at least as long as said, and at most for twice as long. */
    readonly sign: (libraryId: LibraryId, fileId: FileId, lifetime: Duration.Duration) => Effect.Effect<URLSearchParams>
    /** The library that a link's file is in. */
    readonly verify: (fileId: FileId, query: URLSearchParams) => Effect.Effect<LibraryId, LinkRefused>
  }
>()("@sealog/server/protocols/verdant/FileLinks") {
  /** As with tokens, the first secret signs and every one verifies. */
  static readonly layerTokens = (secrets: ReadonlyArray<Redacted.Redacted<string>>) =>
    Layer.sync(FileLinks, () => make(secrets))

  /** With the secrets in `TOKEN_SECRET`, separated by commas. */
  static readonly layerConfig = Layer.effect(
    FileLinks,
    Effect.map(Config.Redacted("TOKEN_SECRET"), (secrets) =>
      make(
        Redacted.value(secrets)
          .split(",")
          .map((secret) => Redacted.make(secret.trim()))
      )
    )
  )
}

const make = (secrets: ReadonlyArray<Redacted.Redacted<string>>): FileLinks["Service"] => {
  // A key of their own: no signature of a link is ever one of a token.
  const keys = secrets.map((secret) => Buffer.from(hkdfSync("sha256", Redacted.value(secret), "", PURPOSE, 32)))
  return FileLinks.of({
    sign: Effect.fnUntraced(function* (libraryId, fileId, lifetime) {
      const step = Math.max(1, Math.floor(Duration.toSeconds(lifetime)))
      const now = Math.floor((yield* Clock.currentTimeMillis) / 1000)
      // In steps, so that a link stays the same for a while and browsers find in their caches what they have.
      const expires = (Math.floor(now / step) + 2) * step
      const signature = signatureOf(keys[0]!, { libraryId, fileId, expires }).toString("base64url")
      return new URLSearchParams({ library: libraryId, expires: String(expires), signature })
    }),
    verify: Effect.fnUntraced(function* (fileId, query) {
      const libraryId = query.get("library") ?? ""
      const expires = Number(query.get("expires"))
      const signature = Buffer.from(query.get("signature") ?? "", "base64url")
      const isGenuine = keys.some((key) => isEqual(signature, signatureOf(key, { libraryId, fileId, expires })))
      if (!isGenuine || !isLibraryId(libraryId)) return yield* new LinkRefused({ reason: "signature" })
      if (expires * 1000 <= (yield* Clock.currentTimeMillis)) return yield* new LinkRefused({ reason: "expired" })
      return libraryId
    })
  })
}

/** The URL at which whoever has it downloads a file. */
export const linkTo = (
  links: FileLinks["Service"],
  libraryId: LibraryId,
  fileId: FileId,
  { linkLifetime, origin }: { readonly linkLifetime: Duration.Input; readonly origin: string }
): Effect.Effect<string> =>
  Effect.map(
    links.sign(libraryId, fileId, Duration.fromInputUnsafe(linkLifetime)),
    (query) => `${origin}${VERDANT_PATH}/files/${fileId}/content?${query}`
  )

const PURPOSE = "sealog file links 1"

const isLibraryId = Schema.is(LibraryId)

/** No part can hold a line break, so no two links have the same text. */
const signatureOf = (
  key: Buffer,
  { libraryId, fileId, expires }: { readonly libraryId: string; readonly fileId: FileId; readonly expires: number }
): Buffer => createHmac("sha256", key).update(`${fileId}\n${expires}\n${libraryId}`).digest()

const isEqual = (a: Buffer, b: Buffer): boolean => a.length === b.length && timingSafeEqual(a, b)
