/**
 * Access by signed tokens (JWT, RFC 7519). The claims are those of Verdant's tokens, so one token serves both protocols.
 * Tokens are signed with a secret (HS256), or with a private key whose public key the server has (EdDSA, ES256, RS256).
 */
import { Clock, Config, Context, Duration, Effect, Layer, Option, Redacted } from "effect"
import { type JWTPayload, SignJWT } from "jose"
import { Access, type Grant, ReplicaType, type TokenRequest } from "../ports/Access.ts"
import { AdminAccess } from "../ports/AdminAccess.ts"
import { parseTokenSecrets, TokenKeysError, type TokenSecret } from "../ports/TokenSecret.ts"
import { administratorOf, type ClaimRules, grantOf } from "./tokens/Claims.ts"
import { makeTokenKeys, type TokenKeysOptions } from "./tokens/TokenKeys.ts"

export { SecretTooShort } from "../ports/TokenSecret.ts"
export type { KeySetOptions } from "./tokens/KeySet.ts"
export { generateSigningKey, publicKeyOf } from "./tokens/SigningKey.ts"
export type { TokenKey, TokenKeysOptions } from "./tokens/TokenKeys.ts"

export interface JwtAccessOptions extends TokenKeysOptions {
  /** Accepted values of the claim `iss`. Default: any. The first one is in the tokens that the server mints. */
  readonly issuer?: string | ReadonlyArray<string>
  /** Accepted values of the claim `aud`; a token needs one of them. Default: any. The first one is in minted tokens. */
  readonly audience?: string | ReadonlyArray<string>
  /**
   * How far the clock of an issuer may be ahead, for `iat` and `nbf`. Default: 5 seconds. A token that is further ahead is
   * refused. `exp` has no leeway: an open connection is closed at that time.
   */
  readonly leeway?: Duration.Input
  /**
   * Longest time from `iat` to `exp`; without `iat`, from now to `exp`. Default: any. A token that lasts longer is refused,
   * and `mint` shortens the time that it is asked for.
   */
  readonly maxLifetime?: Duration.Input
}

/** Verifies with every secret and signs with the first, so that secrets can be rotated. Fails with `SecretTooShort`. */
export const layerTokens = (
  secrets: ReadonlyArray<Redacted.Redacted<string> | TokenSecret>,
  options: Omit<JwtAccessOptions, "secrets"> = {}
) => layer({ ...options, secrets })

/** Access by the tokens of these keys. Fails with `SecretTooShort`, or with `TokenKeysError`. */
export const layer = (options: JwtAccessOptions) =>
  Layer.effect(
    Access,
    Effect.map(makeVerifier(options), ({ access }) => access)
  )

/** The tokens of operators, signed with the same keys. Fails as `layer` does. */
export const layerAdmin = (options: JwtAccessOptions) =>
  Layer.effect(
    AdminAccess,
    Effect.map(makeVerifier(options), ({ admin }) => admin)
  )

/** Both, with one verifier: it loads public keys once. Fails as `layer` does. */
export const layerWithAdmin = (options: JwtAccessOptions) =>
  Layer.effectContext(
    Effect.map(makeVerifier(options), ({ access, admin }) =>
      Context.make(Access, access).pipe(Context.add(AdminAccess, admin))
    )
  )

/**
 * `layer` with the settings of the environment: `TOKEN_SECRET` (secrets separated by commas), `TOKEN_JWKS` (a path or URL),
 * `TOKEN_ISSUER`, `TOKEN_AUDIENCE` (separated by commas), `TOKEN_LEEWAY` and `TOKEN_MAX_LIFETIME` (30s, 15m, 1h, 1d).
 */
export const layerConfig = Layer.effect(
  Access,
  Effect.suspend(() => Effect.map(Effect.flatMap(optionsOfConfig, makeVerifier), ({ access }) => access))
)

/** `layerAdmin` with the settings of the environment, as `layerConfig` reads them. */
export const layerAdminConfig = Layer.effect(
  AdminAccess,
  Effect.suspend(() => Effect.map(Effect.flatMap(optionsOfConfig, makeVerifier), ({ admin }) => admin))
)

const optionsOfConfig = Effect.gen(function* () {
  const jwks = Option.getOrUndefined(yield* Config.option(Config.String("TOKEN_JWKS")))
  const secret = yield* jwks === undefined
    ? Config.map(Config.Redacted("TOKEN_SECRET"), Option.some)
    : Config.option(Config.Redacted("TOKEN_SECRET"))
  const secrets = Option.isNone(secret) ? [] : yield* Effect.fromResult(parseTokenSecrets(Redacted.value(secret.value)))
  const list = (name: string) =>
    Config.map(Config.withDefault(Config.String(name), ""), (text) =>
      text.split(",").flatMap((part) => part.trim() || [])
    )
  const leeway = yield* durationSetting("TOKEN_LEEWAY")
  const maxLifetime = yield* durationSetting("TOKEN_MAX_LIFETIME")
  return {
    ...{ secrets, issuer: yield* list("TOKEN_ISSUER"), audience: yield* list("TOKEN_AUDIENCE") },
    ...(jwks === undefined ? {} : { jwks }),
    ...(leeway === undefined ? {} : { leeway }),
    ...(maxLifetime === undefined ? {} : { maxLifetime })
  }
})

/** A duration in the form of the command line, such as 30s, 15m, 1h or 1d. */
const durationSetting = Effect.fnUntraced(function* (name: string) {
  const text = Option.getOrUndefined(yield* Config.option(Config.String(name)))
  if (text === undefined) return undefined
  const [, amount, unit = ""] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  const seconds = Number(amount) * (SECONDS[unit] ?? Number.NaN)
  if (seconds >= 0) return Duration.seconds(seconds)
  const message = `${name} is not a duration.`
  return yield* new TokenKeysError({
    reason: "invalid",
    message,
    advice: "a whole number and a unit: 30s, 15m, 1h, 1d"
  })
})

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** An `Access`, and what an operator asks of it: which key signed a token, why it is refused, and which keys there are. */
export const makeVerifier = Effect.fnUntraced(function* (options: JwtAccessOptions) {
  const keys = yield* makeTokenKeys(options)
  const rules: ClaimRules = {
    issuers: [options.issuer ?? []].flat(),
    audiences: [options.audience ?? []].flat(),
    leeway: Duration.toMillis(Duration.fromInputUnsafe(options.leeway ?? "5 seconds")),
    maxLifetime:
      options.maxLifetime === undefined ? undefined : Duration.toMillis(Duration.fromInputUnsafe(options.maxLifetime))
  }
  const check = (payload: Readonly<Record<string, unknown>>) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.fromResult(grantOf(payload, rules, now)))

  const verify = Effect.fn("Access.verify")(function* (token: string) {
    const { payload } = yield* keys.identify(token)
    return yield* check(payload)
  })

  const sign = Effect.fnUntraced(function* (
    claims: JWTPayload,
    { expiresIn, subject }: { readonly subject: string; readonly expiresIn: Duration.Duration | undefined }
  ) {
    // With fractions (RFC 7519, section 2, NumericDate), so that a token minted right after a revocation is valid.
    const now = (yield* Clock.currentTimeMillis) / 1000
    const asked = Duration.toMillis(expiresIn ?? Duration.days(1))
    const lifetime = Math.floor(Math.min(asked, rules.maxLifetime ?? asked) / 1000)
    const jwt = new SignJWT(claims)
      .setSubject(subject)
      .setIssuedAt(now)
      .setExpirationTime(Math.floor(now) + lifetime)
      .setJti(crypto.randomUUID())
    if (rules.issuers[0] !== undefined) jwt.setIssuer(rules.issuers[0])
    if (rules.audiences[0] !== undefined) jwt.setAudience(rules.audiences[0])
    return yield* keys.sign(jwt)
  })

  const mint = Effect.fn("Access.mint")(function* (request: TokenRequest) {
    const claims = {
      lib: request.libraryId,
      type: ReplicaType[request.type ?? "realtime"],
      ...(request.documents === undefined ? {} : { docs: request.documents }),
      ...(request.signingKeys === undefined ? {} : { keys: request.signingKeys }),
      ...(request.endpoint === undefined ? {} : { url: request.endpoint }),
      ...(request.fileEndpoint === undefined ? {} : { file: request.fileEndpoint }),
      ...(request.role === undefined ? {} : { role: request.role }),
      ...(request.changes === true ? { changes: true } : {})
    }
    return yield* sign(claims, { subject: request.userId, expiresIn: request.expiresIn })
  })

  const verifyAdmin = Effect.fn("AdminAccess.verify")(function* (token: string) {
    const { payload } = yield* keys.identify(token)
    return yield* Effect.fromResult(administratorOf(payload, rules, yield* Clock.currentTimeMillis))
  })

  /** Makes the token of an operator, which reaches everything that the HTTP API of operators does. */
  const mintAdmin = (request: { readonly name: string; readonly expiresIn?: Duration.Duration }) =>
    sign({ admin: true }, { subject: request.name, expiresIn: request.expiresIn })

  const ended = (grant: Grant): Effect.Effect<void> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const left = grant.expiresAt * 1000 - now
      if (left <= 0) return Effect.void
      // A timer takes at most 2^31 - 1 ms. Sleeping a day at a time also notices that the clock was set.
      return Effect.flatMap(Effect.sleep(Math.min(left, 86_400_000)), () => ended(grant))
    })

  const admin = AdminAccess.of({ verify: verifyAdmin })
  return {
    access: Access.of({ verify, mint, ended }),
    admin,
    mintAdmin,
    check,
    identify: keys.identify,
    keys: keys.list
  }
})
