/** Public keys that verify tokens. The type of a key decides the one algorithm that it verifies. */
import { Effect, Schema } from "effect"
import { type CryptoKey, calculateJwkThumbprint, importJWK, type JWK } from "jose"
import { TokenKeysError } from "../../ports/TokenSecret.ts"

export type PublicAlgorithm = "EdDSA" | "ES256" | "RS256"

export interface VerificationKey {
  /** Undefined: the key has no name, and is tried for tokens that name no key. */
  readonly kid: string | undefined
  readonly alg: PublicAlgorithm
  readonly key: CryptoKey
  /** RFC 7638, SHA-256: the same for the same key, whatever its name is. */
  readonly thumbprint: string
}

/** Most keys of a set, those that cannot verify tokens included. */
const MAX_KEYS = 100
/** The length of an RSA modulus of 2048 bits in base64url; RFC 7518, 3.3 asks for at least that. */
const MIN_RSA_LENGTH = 342

const decodeSet = Schema.decodeUnknownEffect(
  Schema.fromJsonString(Schema.Struct({ keys: Schema.Array(Schema.Record(Schema.String, Schema.Unknown)) }))
)

/** The keys of a set that can verify tokens; others, such as keys for encryption, are left out. `name` is for errors. */
export const parseKeySet = Effect.fnUntraced(function* (text: string, name: string) {
  const fail = (message: string, advice: string) => new TokenKeysError({ reason: "invalid", message, advice })
  const set = yield* Effect.mapError(decodeSet(text), () =>
    fail(`${name} holds no key set, which is the JSON {"keys": […]}.`, "`sync-admin token keys jwks` prints a key set")
  )
  if (set.keys.length > MAX_KEYS) {
    return yield* fail(`${name} holds ${set.keys.length} keys.`, `at most ${MAX_KEYS} keys`)
  }
  const keys: Array<VerificationKey> = []
  for (const jwk of set.keys) {
    if (jwk["kty"] === "oct") {
      return yield* fail(
        `${name} holds a secret (kty oct).`,
        "put secrets into TOKEN_SECRET, and public keys alone there"
      )
    }
    if (jwk["d"] !== undefined) {
      return yield* fail(`${name} holds a private key.`, "`sync-admin token keys jwks` prints the public keys alone")
    }
    const key = yield* verificationKeyOf(jwk)
    if (key !== undefined) keys.push(key)
  }
  return keys
})

/** The verification key of a public or private JWK; undefined if it cannot verify tokens. */
export const verificationKeyOf = (
  jwk: Readonly<Record<string, unknown>>
): Effect.Effect<VerificationKey | undefined> => {
  const found = publicPartOf(jwk)
  if (found === undefined) return Effect.undefined
  const { alg, jwk: publicJwk } = found
  const imported = Effect.tryPromise(() => Promise.all([importJWK(publicJwk, alg), calculateJwkThumbprint(publicJwk)]))
  // Coordinates that are no point of the curve, for example.
  return Effect.matchEffect(imported, {
    onFailure: () => Effect.undefined,
    onSuccess: ([key, thumbprint]) => Effect.succeed({ kid: kidOf(jwk), alg, key, thumbprint })
  })
}

/** The algorithm and the public members of a JWK, without any other. */
export const publicPartOf = (
  jwk: Readonly<Record<string, unknown>>
): { readonly alg: PublicAlgorithm; readonly jwk: PublicJwk } | undefined => {
  const alg = algorithmOf(jwk)
  if (alg === undefined || (jwk["alg"] !== undefined && jwk["alg"] !== alg)) return undefined
  if (jwk["use"] !== undefined && jwk["use"] !== "sig") return undefined
  const operations = jwk["key_ops"]
  if (Array.isArray(operations) && !operations.includes("verify") && !operations.includes("sign")) return undefined
  const members = MEMBERS[alg].flatMap((name) => (typeof jwk[name] === "string" ? [[name, jwk[name]] as const] : []))
  if (members.length < MEMBERS[alg].length) return undefined
  // jose's types have no public key whose type is one of three.
  return { alg, jwk: { ...Object.fromEntries(members), kty: jwk["kty"] as PublicJwk["kty"] } }
}

type PublicJwk = JWK & { readonly kty: "OKP" }

const MEMBERS: Readonly<Record<PublicAlgorithm, ReadonlyArray<string>>> = {
  EdDSA: ["kty", "crv", "x"],
  ES256: ["kty", "crv", "x", "y"],
  RS256: ["kty", "n", "e"]
}

const algorithmOf = ({ kty, crv, n }: Readonly<Record<string, unknown>>): PublicAlgorithm | undefined => {
  if (kty === "OKP" && crv === "Ed25519") return "EdDSA"
  if (kty === "EC" && crv === "P-256") return "ES256"
  return kty === "RSA" && typeof n === "string" && n.length >= MIN_RSA_LENGTH ? "RS256" : undefined
}

const kidOf = ({ kid }: Readonly<Record<string, unknown>>): string | undefined =>
  typeof kid === "string" && kid !== "" ? kid : undefined
