/** The secrets that sign and verify tokens (HS256). The keys of file links are derived from them. */
import { Redacted, Result, Schema } from "effect"

export interface TokenSecret {
  readonly secret: Redacted.Redacted<string>
  /** The name of the secret, which is the header `kid` of its tokens. Such a secret verifies no token with another `kid`. */
  readonly kid?: string
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

/** The bytes of a secret. Fails with `SecretTooShort`. */
export const bytesOfSecret = (secret: Redacted.Redacted<string>): Result.Result<Uint8Array, SecretTooShort> => {
  const bytes = new TextEncoder().encode(Redacted.value(secret))
  return bytes.length < MIN_SECRET_BYTES
    ? Result.fail(new SecretTooShort({ bytes: bytes.length }))
    : Result.succeed(bytes)
}

/** The keys of tokens cannot be used. The message says why, and `advice` what to try. */
export class TokenKeysError extends Schema.TaggedError<TokenKeysError>()("TokenKeysError", {
  /** "unavailable": the keys may be right, but they cannot be read now. */
  reason: Schema.Literals(["invalid", "unavailable"]),
  message: Schema.String,
  advice: Schema.String
}) {}

/**
 * Parses the text of `TOKEN_SECRET`: secrets separated by commas. `kid=NAME:SECRET` names a secret. Fails with
 * `TokenKeysError` if there is no secret, or a name is malformed.
 */
export const parseTokenSecrets = (text: string): Result.Result<ReadonlyArray<TokenSecret>, TokenKeysError> => {
  const parts = text.split(",").flatMap((part) => part.trim() || [])
  if (parts.length === 0) return invalid("The text holds no token secret.")
  const secrets: Array<TokenSecret> = []
  for (const part of parts) {
    if (!part.startsWith("kid=")) {
      secrets.push({ secret: Redacted.make(part) })
      continue
    }
    const [, kid, secret] = NAMED.exec(part) ?? []
    if (kid === undefined || secret === undefined) {
      return invalid("A token secret begins with kid=, but has no name of letters, digits, or . _ ~ - before a colon.")
    }
    secrets.push({ kid, secret: Redacted.make(secret) })
  }
  return Result.succeed(secrets)
}

const NAMED = /^kid=([\w.~-]{1,64}):(.+)$/s

const invalid = (message: string) =>
  Result.fail(
    new TokenKeysError({
      reason: "invalid",
      message,
      advice: "secrets of 32 bytes or more, separated by commas, each as SECRET or kid=NAME:SECRET"
    })
  )
