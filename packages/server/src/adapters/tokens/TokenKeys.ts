/**
 * The keys of tokens: finds the one that signed a token, and signs. A token's algorithm must be the one of the key that
 * verifies it, so a public key never serves as a secret, and an unsigned token is never verified.
 */
import { Effect, Redacted, Schema } from "effect"
import { type CryptoKey, compactVerify, decodeProtectedHeader, errors, type JSONWebKeySet, type SignJWT } from "jose"
import { TokenRefused } from "../../ports/Access.ts"
import { bytesOfSecret, TokenKeysError, type TokenSecret } from "../../ports/TokenSecret.ts"
import { type KeySetOptions, makeKeySet } from "./KeySet.ts"
import { parseSigningKey } from "./SigningKey.ts"
import type { VerificationKey } from "./VerificationKey.ts"

export interface TokenKeysOptions {
  /** The secrets that verify tokens (HS256), at most 8. Without `signingKey`, the first one signs. */
  readonly secrets?: ReadonlyArray<Redacted.Redacted<string> | TokenSecret>
  /** The public keys that verify tokens (EdDSA, ES256, RS256): the path or http(s) URL of a JSON Web Key Set, or the set. */
  readonly jwks?: string | JSONWebKeySet
  /** How the set at `jwks` is loaded. */
  readonly jwksOptions?: KeySetOptions
  /** The private key that signs tokens, as a JSON Web Key. The server verifies its tokens as well. */
  readonly signingKey?: Redacted.Redacted<string>
}

/** A key, as an operator may see it. */
export interface TokenKey {
  readonly alg: string
  /** The name that tokens give it. A secret without a name has null. */
  readonly kid: string | null
  /** "jwks": from the key set; "own": the public key of the key that signs. */
  readonly source: "secret" | "jwks" | "own"
  /** Among the secrets or the keys of its source, from 1. */
  readonly position: number
}

/** A token whose signature is genuine, and its key. Its claims are not checked. */
export interface Identified {
  readonly payload: Readonly<Record<string, unknown>>
  readonly key: TokenKey
}

/** Most secrets, and most public keys that are tried for one token: each try costs the server a verification. */
const MAX_TRIES = 8
/** Most characters of a token's header, which is parsed before its signature is verified. Headers have some 50. */
const MAX_HEADER = 8192

interface Candidate {
  readonly info: TokenKey
  readonly key: Uint8Array | CryptoKey
}

/** Fails with `SecretTooShort`, or with `TokenKeysError` if the keys are wrong or the key set cannot be loaded. */
export const makeTokenKeys = Effect.fnUntraced(function* (options: TokenKeysOptions) {
  const secrets = yield* secretsOf(options.secrets ?? [])
  const signing = options.signingKey === undefined ? undefined : yield* parseSigningKey(options.signingKey)
  const set = options.jwks === undefined ? undefined : yield* makeKeySet(options.jwks, options.jwksOptions)
  if (secrets.length === 0 && signing === undefined && set === undefined) {
    return yield* invalid("There is no key to verify tokens with.", "set TOKEN_SECRET, or TOKEN_JWKS")
  }
  const own = signing === undefined ? [] : [candidateOf(signing.verification, "own", 0)]
  const publicKeys =
    set === undefined
      ? Effect.succeed(own)
      : Effect.map(set.keys, (keys) => [...own, ...keys.map((key, i) => candidateOf(key, "jwks", i))])
  const accepted = [
    ...(secrets.length > 0 ? ["HS256"] : []),
    ...(set !== undefined ? ["EdDSA", "ES256", "RS256"] : own.map(({ info }) => info.alg))
  ]

  /** The key that signed the token, among those that its header allows. Fails with `TokenRefused`. */
  const identify = Effect.fnUntraced(
    function* (token: string) {
      const header = yield* headerOf(token, accepted)
      if (header.alg === "HS256") {
        const candidates = named(secrets, header.kid, true)
        return (yield* identifyWith(candidates, token, header)) ?? (yield* unknownKey(header, candidates.length))
      }
      const attempt = Effect.gen(function* () {
        const candidates = named(yield* publicKeys, header.kid, false).filter(({ info }) => info.alg === header.alg)
        return { identified: yield* identifyWith(candidates, token, header), tried: candidates.length }
      })
      const first = yield* attempt
      if (first.identified !== undefined) return first.identified
      // The set may have gained the key by now. If it holds the key that the token names, the signature is wrong.
      if (set === undefined || (header.kid !== undefined && first.tried > 0))
        return yield* unknownKey(header, first.tried)
      yield* set.refreshed
      const second = yield* attempt
      return second.identified ?? (yield* unknownKey(header, second.tried))
    },
    Effect.catchTag("TokenKeysError", ({ message }) => new TokenRefused({ reason: "unavailable", message }))
  )

  const sign = (jwt: SignJWT): Effect.Effect<string> => {
    if (signing !== undefined) {
      const { alg, key, kid } = signing
      return Effect.promise(() => jwt.setProtectedHeader({ alg, kid }).sign(key))
    }
    const [secret] = secrets
    if (secret === undefined)
      return Effect.die(new Error("This server has no secret and no private key to sign tokens with."))
    const { kid } = secret.info
    return Effect.promise(() =>
      jwt.setProtectedHeader({ alg: "HS256", ...(kid === null ? {} : { kid }) }).sign(secret.key)
    )
  }

  const list = Effect.map(publicKeys, (keys) => [...secrets, ...keys].map(({ info }) => info))

  return { identify, sign, list }
})

/** The keys for a `kid`: those of this name; else, for a secret, those without a name. Without a `kid`, all of them. */
const named = <C extends Candidate>(
  candidates: ReadonlyArray<C>,
  kid: string | undefined,
  orNameless: boolean
): ReadonlyArray<C> => {
  if (kid === undefined) return candidates
  const ofName = candidates.filter(({ info }) => info.kid === kid)
  return ofName.length > 0 || !orNameless ? ofName : candidates.filter(({ info }) => info.kid === null)
}

const candidateOf = ({ alg, key, kid, thumbprint }: VerificationKey, source: "jwks" | "own", i: number): Candidate => ({
  info: { alg, kid: kid ?? thumbprint, source, position: i + 1 },
  key
})

const secretsOf = Effect.fnUntraced(function* (secrets: NonNullable<TokenKeysOptions["secrets"]>) {
  const candidates: Array<{ readonly info: TokenKey; readonly key: Uint8Array }> = []
  for (const given of secrets) {
    const { kid = null, secret } = Redacted.isRedacted(given) ? { secret: given } : given
    const key = yield* Effect.fromResult(bytesOfSecret(secret))
    candidates.push({ info: { alg: "HS256", kid, source: "secret", position: candidates.length + 1 }, key })
  }
  if (candidates.length > MAX_TRIES) {
    return yield* invalid(`There are ${candidates.length} token secrets.`, `at most ${MAX_TRIES} secrets`)
  }
  const names = candidates.flatMap(({ info }) => info.kid ?? [])
  if (new Set(names).size < names.length) {
    return yield* invalid("Two token secrets have the same name (kid).", "another name for one of them")
  }
  return candidates
})

const invalid = (message: string, advice: string) => new TokenKeysError({ reason: "invalid", message, advice })

// -------------------------------------------------------------------------------------------------------- one token

interface Header {
  readonly alg: string
  readonly kid: string | undefined
}

const malformed = (message: string) => new TokenRefused({ reason: "malformed", message })

const headerOf = (token: string, accepted: ReadonlyArray<string>): Effect.Effect<Header, TokenRefused> =>
  Effect.suspend(() => {
    const { alg, crit, kid } = parseHeader(token)
    const expected = `this server takes ${accepted.join(", ")}`
    if (typeof alg !== "string") return malformed(`This is not a signed token (JWT); ${expected}.`)
    if (!accepted.includes(alg)) return malformed(`The token's algorithm is ${shown(alg)}; ${expected}.`)
    if (crit !== undefined) return malformed("The token has a header extension (crit) that this server does not know.")
    if (kid !== undefined && typeof kid !== "string") return malformed("The token's kid is not text.")
    return Effect.succeed({ alg, kid })
  })

const parseHeader = (token: string): Readonly<Record<string, unknown>> => {
  const [header = "", ...rest] = token.split(".", 4)
  if (header.length > MAX_HEADER || rest.length !== 2) return {}
  try {
    return decodeProtectedHeader(token)
  } catch {
    return {}
  }
}

const identifyWith = Effect.fnUntraced(function* (
  candidates: ReadonlyArray<Candidate>,
  token: string,
  { alg }: Header
) {
  for (const { info, key } of candidates.slice(0, MAX_TRIES)) {
    const bytes = yield* Effect.tryPromise({
      try: () => payloadIfSigned(token, key, alg),
      catch: () => malformed("This is not a signed token (JWT).")
    })
    if (bytes !== undefined) return { payload: yield* payloadOf(bytes), key: info } satisfies Identified
  }
  return undefined
})

/** The payload; undefined if another key signed it. */
const payloadIfSigned = async (token: string, key: Uint8Array | CryptoKey, alg: string) => {
  try {
    return (await compactVerify(token, key, { algorithms: [alg] })).payload
  } catch (error) {
    if (error instanceof errors.JWSSignatureVerificationFailed) return undefined
    throw error
  }
}

const decodePayload = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)))

const payloadOf = (bytes: Uint8Array) =>
  Effect.try({
    try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
    catch: () => malformed("The token's claims are not UTF-8.")
  }).pipe(
    Effect.flatMap((text) =>
      Effect.mapError(decodePayload(text), () => malformed("The token's claims are not a JSON object."))
    )
  )

const unknownKey = ({ alg, kid }: Header, tried: number) => {
  const name = kid === undefined ? "" : ` ${shown(kid)}`
  const noun = alg === "HS256" ? "secret" : `${alg} key`
  return new TokenRefused({
    reason: "signature",
    message:
      tried === 0
        ? `This server has no ${noun}${name === "" ? "" : ` with the name (kid)${name}`}.`
        : `The token was not signed with a ${noun} of this server${name && `; its kid is${name}`}.`
  })
}

/** A text of a token, in a message. */
const shown = (text: string): string => JSON.stringify(text.slice(0, 80))
