/**
 * Who may do what. The default is signed tokens (JWT, RFC 7519, HS256) with the claims that Verdant's tokens have, so
 * that one token serves both protocols; an app with an authority of its own supplies another layer.
 */
import { Clock, Config, Context, Duration, Effect, Layer, Redacted, Schema } from "effect"
import { errors, jwtVerify, SignJWT } from "jose"
import { DocumentId, LibraryId, type PublicKey } from "../domain/Ids.ts"

/** Verdant's replica types by number. */
export const ReplicaType = {
  realtime: 0,
  push: 1,
  "passive-realtime": 2,
  "passive-push": 3,
  "read-only-pull": 4,
  "read-only": 5
} as const
export type ReplicaTypeName = keyof typeof ReplicaType

/** What a verified token grants. */
export const Grant = Schema.Struct({
  /** The user (`sub`). */
  userId: Schema.NonEmptyString.check(Schema.isMaxLength(200)),
  libraryId: LibraryId,
  /** The documents it reaches; undefined: all of the library. */
  documents: Schema.UndefinedOr(Schema.Array(DocumentId)),
  readOnly: Schema.Boolean,
  /** What kind of client the token is for: Verdant's number. */
  replicaType: Schema.Int,
  /** Seconds since 1970. */
  expiresAt: Schema.Finite,
  /** `jti`: what a revocation names. */
  tokenId: Schema.UndefinedOr(Schema.String),
  /** Seconds since 1970, with fractions; a token that does not say so is older than any revocation. */
  issuedAt: Schema.UndefinedOr(Schema.Finite)
})
export type Grant = typeof Grant.Type

export type Action =
  | { readonly _tag: "Read"; readonly documentId: DocumentId }
  | {
      readonly _tag: "WriteSnapshot" | "WriteUpdate" | "SendEphemeralMessage"
      readonly documentId: DocumentId
      readonly pubKey: PublicKey
      /** A snapshot's `additionalServerData`, for this decision alone: it is stored and sent nowhere. */
      readonly additionalServerData?: unknown
    }

export class TokenRefused extends Schema.TaggedError<TokenRefused>()("TokenRefused", {
  reason: Schema.Literals(["malformed", "signature", "expired", "claims"]),
  message: Schema.String
}) {}

/** What `mint` puts into a token. */
export interface TokenRequest {
  readonly userId: string
  readonly libraryId: LibraryId
  readonly documents?: ReadonlyArray<DocumentId>
  /** Default: `realtime`. */
  readonly type?: ReplicaTypeName
  /** Default: 1 day. */
  readonly expiresIn?: Duration.Duration
  /** Where Verdant clients find the server (`url`). */
  readonly endpoint?: string
}

export class Access extends Context.Service<
  Access,
  {
    /** Checks a token's signature, claims and expiry. */
    readonly verify: (token: string) => Effect.Effect<Grant, TokenRefused>
    readonly mint: (request: TokenRequest) => Effect.Effect<string>
    /** The policy, asked for every connection and every message that writes or is relayed. */
    readonly allows: (grant: Grant, action: Action) => Effect.Effect<boolean>
    /** Completes when a grant ends: a connection that holds it is closed at once. */
    readonly ended: (grant: Grant) => Effect.Effect<void>
  }
>()("@sealog/server/Access") {
  /** Signed tokens. The first secret signs, every one verifies, so that secrets can be rotated. */
  static readonly layerTokens = (secrets: ReadonlyArray<Redacted.Redacted<string>>) =>
    Layer.effect(Access, makeTokens(secrets))

  /** Signed tokens with the secrets in `TOKEN_SECRET`, separated by commas. */
  static readonly layerConfig = Layer.effect(
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
}

/** RFC 7518 section 3.2: a key for HS256 has at least the 256 bits of its hash. */
const MIN_SECRET_BYTES = 32

export class SecretTooShort extends Schema.TaggedError<SecretTooShort>()("SecretTooShort", {
  bytes: Schema.Finite
}) {
  override get message(): string {
    return `A token secret has ${this.bytes} bytes; HS256 needs at least ${MIN_SECRET_BYTES} (RFC 7518, 3.2).`
  }
}

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
  const keys = secrets.map((secret) => new TextEncoder().encode(Redacted.value(secret)))
  for (const key of keys) if (key.length < MIN_SECRET_BYTES) return yield* new SecretTooShort({ bytes: key.length })

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
    // With its fraction (RFC 7519, 2, NumericDate): a token that is made right after a revocation is good.
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

  const allows = (grant: Grant, action: Action) =>
    Effect.succeed(
      (grant.documents === undefined || grant.documents.includes(action.documentId)) &&
        !(grant.readOnly && (action._tag === "WriteSnapshot" || action._tag === "WriteUpdate"))
    )

  // No generator: every connection waits in it for most of its life.
  const ended = (grant: Grant): Effect.Effect<void> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const left = grant.expiresAt * 1000 - now
      if (left <= 0) return Effect.void
      // A timer holds at most 2^31 - 1 ms; a day at a time also notices a clock that was set.
      return Effect.flatMap(Effect.sleep(Math.min(left, 86_400_000)), () => ended(grant))
    })

  return Access.of({ verify, mint, allows, ended })
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
