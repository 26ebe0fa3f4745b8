/**
 * Access by signed tokens (JWT, RFC 7519, HS256). The claims are those of Verdant's tokens, so one token serves both
 * protocols.
 */
import { Clock, Config, Duration, Effect, Layer, Redacted, Schema } from "effect"
import { errors, jwtVerify, SignJWT } from "jose"
import { DocumentId, LibraryId } from "../domain/Ids.ts"
import { Access, Grant, ReplicaType, TokenRefused, type TokenRequest } from "../ports/Access.ts"
import { secretBytes } from "../ports/TokenSecrets.ts"

export { SecretTooShort } from "../ports/TokenSecrets.ts"

/** Verifies with every secret and signs with the first, so that secrets can be rotated. Fails with `SecretTooShort`. */
export const layerTokens = (secrets: ReadonlyArray<Redacted.Redacted<string>>) =>
  Layer.effect(Access, makeTokens(secrets))

/** `layerTokens` with the secrets in `TOKEN_SECRET`, separated by commas. */
export const layerConfig = Layer.effect(
  Access,
  Effect.gen(function* () {
    const secrets = yield* Config.Redacted("TOKEN_SECRET")
    return yield* makeTokens(
      Redacted.value(secrets)
        .split(",")
        .map((secret) => Redacted.make(secret.trim()))
    )
  })
)

const Claims = Schema.Struct({
  sub: Grant.fields.userId,
  lib: LibraryId,
  // Some issuers pass on a query's text, so the number may be a string.
  type: Schema.optionalKey(
    Schema.Union([Schema.Literals([0, 1, 2, 3, 4, 5]), Schema.Literals(["0", "1", "2", "3", "4", "5"])])
  ),
  exp: Schema.Finite,
  iat: Schema.optionalKey(Schema.Finite),
  docs: Schema.optionalKey(Schema.Array(DocumentId).check(Schema.isMaxLength(1000))),
  jti: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(200)))
})
const decodeClaims = Schema.decodeUnknownEffect(Claims)

const makeTokens = Effect.fnUntraced(function* (secrets: ReadonlyArray<Redacted.Redacted<string>>) {
  const keys = yield* secretBytes(secrets)

  const verify = Effect.fn("Access.verify")(function* (token: string) {
    const now = new Date(yield* Clock.currentTimeMillis)
    const payload = yield* Effect.tryPromise({ try: () => verifyWithAny(keys, token, now), catch: refusalOf })
    const claims = yield* decodeClaims(payload).pipe(
      Effect.mapError(
        () =>
          new TokenRefused({
            reason: "claims",
            message: "The token's claims are not complete: sub, lib and exp are needed."
          })
      )
    )
    const type = Number(claims.type ?? ReplicaType.realtime)
    return {
      userId: claims.sub,
      libraryId: claims.lib,
      documents: claims.docs,
      readOnly: type === ReplicaType["read-only-pull"] || type === ReplicaType["read-only"],
      replicaType: type,
      expiresAt: claims.exp,
      tokenId: claims.jti,
      issuedAt: claims.iat
    } satisfies Grant
  })

  const mint = Effect.fn("Access.mint")(function* (request: TokenRequest) {
    // With fractions (RFC 7519, section 2, NumericDate), so that a token minted right after a revocation is valid.
    const now = (yield* Clock.currentTimeMillis) / 1000
    const jwt = new SignJWT({
      lib: request.libraryId,
      type: ReplicaType[request.type ?? "realtime"],
      ...(request.documents === undefined ? {} : { docs: request.documents }),
      ...(request.endpoint === undefined ? {} : { url: request.endpoint })
    })
      .setProtectedHeader({ alg: "HS256" })
      .setSubject(request.userId)
      .setIssuedAt(now)
      .setExpirationTime(Math.floor(now) + Math.floor(Duration.toSeconds(request.expiresIn ?? Duration.days(1))))
      .setJti(crypto.randomUUID())
    return yield* Effect.promise(() => jwt.sign(keys[0]!))
  })

  const ended = (grant: Grant): Effect.Effect<void> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const left = grant.expiresAt * 1000 - now
      if (left <= 0) return Effect.void
      // A timer takes at most 2^31 - 1 ms. Sleeping a day at a time also notices that the clock was set.
      return Effect.flatMap(Effect.sleep(Math.min(left, 86_400_000)), () => ended(grant))
    })

  return Access.of({ verify, mint, ended })
})

const verifyWithAny = async (keys: ReadonlyArray<Uint8Array>, token: string, now: Date): Promise<unknown> => {
  let failure: unknown
  for (const key of keys) {
    try {
      return (await jwtVerify(token, key, { algorithms: ["HS256"], currentDate: now })).payload
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error
      failure = error
    }
  }
  throw failure
}

const refusalOf = (error: unknown): TokenRefused => {
  if (error instanceof errors.JWTExpired)
    return new TokenRefused({ reason: "expired", message: "The token has expired." })
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return new TokenRefused({ reason: "signature", message: "The token was not signed with a secret of this server." })
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    return new TokenRefused({
      reason: "claims",
      message: "The token's claims are not valid yet or not of the right type."
    })
  }
  return new TokenRefused({ reason: "malformed", message: "This is not a signed token (JWT, HS256)." })
}
