/** The claims of a token: decodes them, checks them against the settings, and names the claims that are wrong. */
import { Option, Result, Schema, SchemaTransformation } from "effect"
import { Operator } from "../../domain/Administration.ts"
import { ClaimText, DocumentId, decodeDocumentId, LibraryId, PublicKey } from "../../domain/Ids.ts"
import { Grant, ReplicaType, TokenRefused } from "../../ports/Access.ts"
import type { Administrator } from "../../ports/AdminAccess.ts"

export interface ClaimRules {
  /** Accepted values of `iss`; empty: any, or none. */
  readonly issuers: ReadonlyArray<string>
  /** Accepted values of `aud`; empty: any, or none. */
  readonly audiences: ReadonlyArray<string>
  /** How far another clock may be ahead, ms. */
  readonly leeway: number
  /** Longest time from `iat` to `exp`, ms; undefined: any. */
  readonly maxLifetime: number | undefined
}

/** An issuer may write an id as it stands in a URL. */
const ClaimedDocument = Schema.String.pipe(
  Schema.decodeTo(DocumentId, SchemaTransformation.transform({ decode: decodeDocumentId, encode: (id) => id }))
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
  nbf: Schema.optionalKey(Schema.Finite),
  docs: Schema.optionalKey(Schema.Array(ClaimedDocument).check(Schema.isMaxLength(1000))),
  keys: Schema.optionalKey(Schema.Array(PublicKey).check(Schema.isMaxLength(100))),
  jti: Schema.optionalKey(ClaimText),
  // An issuer of another kind may have claims of these names with another meaning.
  role: Schema.optionalKey(Schema.Unknown),
  changes: Schema.optionalKey(Schema.Unknown)
})
type Claims = typeof Claims.Type

const decode = Schema.decodeUnknownResult(Claims)

/** From here on (the year 5138), a number of seconds is a number of milliseconds by mistake. */
const MILLISECONDS = 1e11

/** The grant of a payload whose signature was verified. */
export const grantOf = (
  payload: Readonly<Record<string, unknown>>,
  rules: ClaimRules,
  now: number
): Result.Result<Grant, TokenRefused> => {
  const decoded = decode(payload)
  if (Result.isFailure(decoded)) return refused(faultsOf(payload))
  const claims = decoded.success
  const fault = validityFault(claims, payload, rules, now)
  if (fault !== undefined) return Result.fail(fault)
  const type = Number(claims.type ?? ReplicaType.realtime)
  return Result.succeed({
    userId: claims.sub,
    libraryId: claims.lib,
    documents: claims.docs,
    signingKeys: claims.keys,
    readOnly: type === ReplicaType["read-only-pull"] || type === ReplicaType["read-only"],
    replicaType: type,
    expiresAt: claims.exp,
    tokenId: claims.jti,
    issuedAt: claims.iat,
    ...(isRole(claims.role) && { role: claims.role }),
    ...(claims.changes === true && { changes: true })
  })
}

const AdminClaims = Schema.Struct({
  sub: Operator,
  admin: Schema.Literal(true),
  exp: Claims.fields.exp,
  iat: Claims.fields.iat,
  nbf: Claims.fields.nbf,
  jti: Claims.fields.jti
})
const decodeAdmin = Schema.decodeUnknownResult(AdminClaims)

/** The operator that a payload with a verified signature names. A token with a library is a client's, whatever else it claims. */
export const administratorOf = (
  payload: Readonly<Record<string, unknown>>,
  rules: ClaimRules,
  now: number
): Result.Result<Administrator, TokenRefused> => {
  const decoded = decodeAdmin(payload)
  if (Result.isFailure(decoded) || payload["lib"] !== undefined) return refused(["The token is not an operator's."])
  const claims = decoded.success
  const fault = validityFault(claims, payload, rules, now)
  if (fault !== undefined) return Result.fail(fault)
  return Result.succeed({ name: claims.sub, tokenId: claims.jti, issuedAt: claims.iat, expiresAt: claims.exp })
}

const isRole = Schema.is(ClaimText)

const refused = (faults: ReadonlyArray<string>) => Result.fail(refusalOf(faults))

const refusalOf = (faults: ReadonlyArray<string>) => new TokenRefused({ reason: "claims", message: faults.join(" ") })

/** Why a token is not valid now, or not for this server; undefined: it is. */
const validityFault = (
  claims: Pick<Claims, "exp" | "iat" | "nbf">,
  payload: Readonly<Record<string, unknown>>,
  rules: ClaimRules,
  now: number
): TokenRefused | undefined => {
  if (claims.exp >= MILLISECONDS) {
    return refusalOf(["The claim exp is in milliseconds; it counts seconds since 1970."])
  }
  if (claims.exp * 1000 <= now) {
    const at = new Date(Math.max(0, claims.exp) * 1000).toISOString()
    return new TokenRefused({ reason: "expired", message: `The token expired at ${at}.` })
  }
  const faults = [
    ...timeFaults(claims, rules, now),
    ...nameFault("iss", rules.issuers, isOneOf(rules.issuers, payload["iss"])),
    ...nameFault(
      "aud",
      rules.audiences,
      [payload["aud"]].flat().some((aud) => isOneOf(rules.audiences, aud))
    )
  ]
  return faults.length > 0 ? refusalOf(faults) : undefined
}

/** `exp` has no leeway: an open connection ends at `exp`, and its client must not be let in again. */
const timeFaults = (
  { exp, iat, nbf }: Pick<Claims, "exp" | "iat" | "nbf">,
  { leeway, maxLifetime }: ClaimRules,
  now: number
) => {
  const isAhead = (seconds: number | undefined) => seconds !== undefined && seconds * 1000 > now + leeway
  const ahead = (name: string, seconds = 0) =>
    seconds >= MILLISECONDS
      ? `The claim ${name} is in milliseconds; it counts seconds since 1970.`
      : `The claim ${name} is in the future: it is ${Math.ceil(seconds - now / 1000)} s ahead of this server's clock.`
  const lifetime = exp - (iat ?? now / 1000)
  return [
    ...(isAhead(iat) ? [ahead("iat", iat)] : []),
    ...(isAhead(nbf) ? [ahead("nbf", nbf)] : []),
    ...(maxLifetime !== undefined && lifetime * 1000 > maxLifetime
      ? [`The token lasts ${Math.ceil(lifetime)} s (exp - iat); this server accepts at most ${maxLifetime / 1000} s.`]
      : [])
  ]
}

const isOneOf = (accepted: ReadonlyArray<string>, value: unknown): boolean =>
  typeof value === "string" && accepted.includes(value)

const nameFault = (name: "iss" | "aud", accepted: ReadonlyArray<string>, isAccepted: boolean) =>
  accepted.length === 0 || isAccepted ? [] : [`The claim ${name} is not ${accepted.join(" or ")}.`]

// ---------------------------------------------------------------------------------------------------- wrong claims

/** A sentence for each claim that is missing or malformed. It holds no value of the token. */
const faultsOf = (payload: Readonly<Record<string, unknown>>): ReadonlyArray<string> => {
  const faults = Object.entries(checks).flatMap(([name, fault]) => {
    const value = payload[name]
    if (value === undefined) return REQUIRED.includes(name) ? [`The claim ${name} is missing.`] : []
    const problem = fault(value)
    return problem === undefined ? [] : [`The claim ${name} ${problem}.`]
  })
  return faults.length > 0 ? faults : ["The token's claims are not valid."]
}

const REQUIRED = ["sub", "lib", "exp"]

const textFault = (value: unknown, max: number): string | undefined => {
  if (typeof value !== "string") return "is not text"
  if (value === "") return "is empty"
  return Array.from(value).length > max ? `is longer than ${max} characters` : undefined
}

const claimTextFault = (value: unknown): string | undefined => {
  const fault = textFault(value, 200)
  if (fault !== undefined) return fault
  const text = String(value)
  if (/\p{Cc}/u.test(text)) return "holds a control character"
  if (/\p{Cs}/u.test(text)) return "is not well-formed Unicode"
  return text.length > 200 ? "is longer than 200 characters" : undefined
}

const numberFault = (value: unknown): string | undefined =>
  typeof value === "number" && Number.isFinite(value) ? undefined : "is not a number of seconds since 1970"

const listFault = (value: unknown, is: (entry: unknown) => boolean, max: number, noun: string): string | undefined => {
  if (!Array.isArray(value)) return "is not a list"
  if (value.length > max) return `has more than ${max} entries`
  const wrong = value.findIndex((entry) => !is(entry))
  return wrong === -1 ? undefined : `has an entry, number ${wrong + 1}, that is not ${noun}`
}

const isDocumentId = (value: unknown): boolean => Option.isSome(decodeDocument(value))
const decodeDocument = Schema.decodeUnknownOption(ClaimedDocument)
const isLibraryId = Schema.is(LibraryId)
const isPublicKey = Schema.is(PublicKey)

/** Only numbers and texts: the text of a list of lists may be too deep to make. */
const isReplicaType = (value: unknown): boolean =>
  (typeof value === "number" || typeof value === "string") && /^[0-5]$/.test(`${value}`)

const checks: Readonly<Record<string, (value: unknown) => string | undefined>> = {
  sub: claimTextFault,
  lib: (value) => {
    const fault = textFault(value, 200)
    if (fault !== undefined || isLibraryId(value)) return fault
    const text = String(value)
    if (text.startsWith("@")) return "begins with @, which is reserved"
    if (/\p{Z}/u.test(text)) return "holds a space"
    return text.includes("/") ? "holds a slash" : "holds a character that cannot be printed"
  },
  type: (value) => (isReplicaType(value) ? undefined : "is not a replica type, 0 to 5"),
  exp: numberFault,
  iat: numberFault,
  nbf: numberFault,
  docs: (value) => listFault(value, isDocumentId, 1000, "the id of a document"),
  keys: (value) => listFault(value, isPublicKey, 100, "a public key of 43 base64url characters"),
  jti: (value) => (value === "" ? undefined : claimTextFault(value))
}
