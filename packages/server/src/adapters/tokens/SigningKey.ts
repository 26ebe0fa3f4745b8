/** Private keys that sign tokens, as JSON Web Keys. */
import { Effect, Redacted, Schema } from "effect"
import { type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK } from "jose"
import { TokenKeysError } from "../../ports/TokenSecret.ts"
import { type PublicAlgorithm, publicPartOf, type VerificationKey, verificationKeyOf } from "./VerificationKey.ts"

export interface SigningKey {
  readonly kid: string
  readonly alg: PublicAlgorithm
  readonly key: CryptoKey
  readonly verification: VerificationKey
}

const decodeJwk = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)))

/** Parses a private key. Fails with `TokenKeysError`. Its tokens name it by its `kid`, or else by its thumbprint. */
export const parseSigningKey = Effect.fnUntraced(function* (text: Redacted.Redacted<string>) {
  const refuse = (message: string) => new TokenKeysError({ reason: "invalid", message, advice: NEW_KEY })
  // The parser's own error would show a part of the key.
  const jwk = yield* Effect.mapError(decodeJwk(Redacted.value(text)), () =>
    refuse("The private key is not a JSON Web Key.")
  )
  if (jwk["d"] === undefined) return yield* refuse("The JSON Web Key that is to sign tokens is not a private key.")
  const verification = yield* verificationKeyOf(jwk)
  if (verification === undefined) return yield* refuse("The private key is not for EdDSA, ES256 or RS256.")
  const { alg, thumbprint, kid = thumbprint } = verification
  const key = yield* Effect.tryPromise({
    try: () => importJWK<JWK & { kty: "OKP" }>({ ...jwk, kty: jwk["kty"] as "OKP" }, alg),
    catch: () => refuse("The private key is damaged.")
  })
  return { kid, alg, key, verification: { ...verification, kid } } satisfies SigningKey
})

/** Makes a key pair and returns its private key, whose `kid` is the given one or its thumbprint (RFC 7638). */
export const generateSigningKey = (alg: PublicAlgorithm, kid?: string): Effect.Effect<Redacted.Redacted<string>> =>
  Effect.promise(async () => {
    const { privateKey } = await generateKeyPair(alg, { extractable: true })
    const jwk = await exportJWK(privateKey)
    const named = { ...jwk, kid: kid ?? (await calculateJwkThumbprint(jwk)), alg, use: "sig" }
    return Redacted.make(JSON.stringify(named))
  })

/** The public key of a private or public key, with the name by which tokens name it; undefined if it cannot verify tokens. */
export const publicKeyOf = (
  jwk: Readonly<Record<string, unknown>>
): Effect.Effect<Readonly<Record<string, unknown>> | undefined> =>
  Effect.map(verificationKeyOf(jwk), (key) => {
    if (key === undefined) return undefined
    return { ...publicPartOf(jwk)?.jwk, kid: key.kid ?? key.thumbprint, alg: key.alg, use: "sig" }
  })

const NEW_KEY = "`sync-admin token keys make FILE` makes a private key"
