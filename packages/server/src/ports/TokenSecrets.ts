/** The least length of the secrets that sign tokens and file links. */
import { Effect, Redacted, Schema } from "effect"

/** RFC 7518 section 3.2: a key for HS256 has at least the 256 bits of its hash. Link keys are derived from the same secrets. */
const MIN_SECRET_BYTES = 32

export class SecretTooShort extends Schema.TaggedError<SecretTooShort>()("SecretTooShort", {
  bytes: Schema.Finite
}) {
  override get message(): string {
    return `A token secret has ${this.bytes} bytes; HS256 needs at least ${MIN_SECRET_BYTES} (RFC 7518, 3.2).`
  }
}

/** The secrets as bytes. Fails if one of them is too short. */
export const secretBytes = Effect.fnUntraced(function* (secrets: ReadonlyArray<Redacted.Redacted<string>>) {
  const keys = secrets.map((secret) => new TextEncoder().encode(Redacted.value(secret)))
  for (const key of keys) if (key.length < MIN_SECRET_BYTES) return yield* new SecretTooShort({ bytes: key.length })
  return keys
})
