/**
 * Signed links: the bearer of a link can download one file, without a token. They are for `<img>` and other elements that
 * cannot send headers. Their keys are derived from the token secrets, so every process of an installation has them.
 */
import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto"
import { Clock, Config, Context, Duration, Effect, Layer, Redacted, Schema } from "effect"
import { type FileId, LibraryId } from "../../../domain/Ids.ts"
import { bytesOfSecret, parseTokenSecrets } from "../../../ports/TokenSecret.ts"
import { VERDANT_PATH } from "../ConnectionUrl.ts"

/** The link was not signed by this installation, or it expired. */
export class LinkRefused extends Schema.TaggedError<LinkRefused>()("LinkRefused", {
  reason: Schema.Literals(["signature", "expired"])
}) {}

export class FileLinks extends Context.Service<
  FileLinks,
  {
    /** The query of a link, valid for at least `lifetime` and at most twice as long. */
    readonly sign: (libraryId: LibraryId, fileId: FileId, lifetime: Duration.Duration) => Effect.Effect<URLSearchParams>
    /** The library of a link's file. */
    readonly verify: (fileId: FileId, query: URLSearchParams) => Effect.Effect<LibraryId, LinkRefused>
  }
>()("@sealog/server/protocols/verdant/FileLinks") {
  /** For a server whose app makes the URLs of files: no link is genuine. */
  static readonly none = FileLinks.of({
    sign: () => Effect.die(new Error("There is no secret to sign links with")),
    verify: () => Effect.fail(new LinkRefused({ reason: "signature" }))
  })

  /** As with tokens, the first secret signs and all secrets verify. Fails with `SecretTooShort`. */
  static readonly layerTokens = (secrets: ReadonlyArray<Redacted.Redacted<string>>) =>
    Layer.effect(FileLinks, makeOf(secrets))

  /** Takes the secrets from `LINK_SECRET`, or else from `TOKEN_SECRET`, separated by commas. */
  static readonly layerConfig = Layer.effect(
    FileLinks,
    Effect.gen(function* () {
      const text = yield* Config.orElse(Config.Redacted("LINK_SECRET"), () => Config.Redacted("TOKEN_SECRET"))
      const secrets = yield* Effect.fromResult(parseTokenSecrets(Redacted.value(text)))
      return yield* makeOf(secrets.map(({ secret }) => secret))
    })
  )
}

const makeOf = Effect.fnUntraced(function* (secrets: ReadonlyArray<Redacted.Redacted<string>>) {
  for (const secret of secrets) yield* Effect.fromResult(bytesOfSecret(secret))
  return make(secrets)
})

const make = (secrets: ReadonlyArray<Redacted.Redacted<string>>): FileLinks["Service"] => {
  // Derived keys: the signature of a link can never be the signature of a token.
  const keys = secrets.map((secret) => Buffer.from(hkdfSync("sha256", Redacted.value(secret), "", PURPOSE, 32)))
  return FileLinks.of({
    sign: Effect.fnUntraced(function* (libraryId, fileId, lifetime) {
      const step = Math.max(1, Math.floor(Duration.toSeconds(lifetime)))
      const now = Math.floor((yield* Clock.currentTimeMillis) / 1000)
      // Expiry is rounded up to a multiple of the lifetime, so a link stays the same for a while and browsers can cache it.
      const expires = (Math.floor(now / step) + 2) * step
      const signature = signatureOf(keys[0]!, { libraryId, fileId, expires })
      return new URLSearchParams({ library: libraryId, expires: String(expires), signature })
    }),
    verify: Effect.fnUntraced(function* (fileId, query) {
      const [libraryId, expiresText] = [query.get("library") ?? "", query.get("expires") ?? ""]
      if (!isExact(query) || !/^[1-9]\d{0,15}$/.test(expiresText)) {
        return yield* new LinkRefused({ reason: "signature" })
      }
      const expires = Number(expiresText)
      const signature = query.get("signature") ?? ""
      const isGenuine = keys.some((key) => isEqual(signature, signatureOf(key, { libraryId, fileId, expires })))
      if (!isGenuine || !isLibraryId(libraryId)) return yield* new LinkRefused({ reason: "signature" })
      if (expires * 1000 <= (yield* Clock.currentTimeMillis)) return yield* new LinkRefused({ reason: "expired" })
      return libraryId
    })
  })
}

/** The URL of a file's download, with a signed query. */
export const linkTo = (
  links: FileLinks["Service"],
  libraryId: LibraryId,
  fileId: FileId,
  {
    linkLifetime,
    mountPath,
    origin
  }: { readonly linkLifetime: Duration.Input; readonly mountPath: string; readonly origin: string }
): Effect.Effect<string> =>
  Effect.map(
    links.sign(libraryId, fileId, Duration.fromInputUnsafe(linkLifetime)),
    (query) => `${origin}${mountPath}${VERDANT_PATH}/files/${fileId}/content?${query}`
  )

const PURPOSE = "sealog file links 1"

const isLibraryId = Schema.is(LibraryId)

/**
 * The text of the signature. No part can hold a line break, so two different links never have the same signed text. Links are
 * compared by this text: many texts are read as the same bytes.
 */
const signatureOf = (
  key: Buffer,
  { libraryId, fileId, expires }: { readonly libraryId: string; readonly fileId: FileId; readonly expires: number }
): string => createHmac("sha256", key).update(`${fileId}\n${expires}\n${libraryId}`).digest("base64url")

const isEqual = (a: string, b: string): boolean => {
  const [first, second] = [Buffer.from(a), Buffer.from(b)]
  return first.length === second.length && timingSafeEqual(first, second)
}

const PARAMETERS = ["library", "expires", "signature"]

/** Whether the query has each parameter once and no other: a link has exactly one form. */
const isExact = (query: URLSearchParams): boolean =>
  query.size === PARAMETERS.length && PARAMETERS.every((name) => query.has(name))
