/** The settings of tokens that `serve` and the commands of tokens share: their flags, and what they come to. */
import * as Flags from "@oclif/core/flags"
import type { JwtAccess } from "@sealog/server/adapters"
import type { TokenSecret } from "@sealog/server/ports"
import { durationOf } from "./durations.ts"

export const tokenFlags = {
  "token-jwks": Flags.string({
    description:
      "public keys that verify tokens (EdDSA, ES256, RS256): the file or https URL of a JSON Web Key Set, which is loaded again when it changes",
    env: "TOKEN_JWKS"
  }),
  "token-issuer": Flags.string({
    description: "accept only tokens with this claim `iss` (can be repeated; default: any)",
    env: "TOKEN_ISSUER",
    multiple: true
  }),
  "token-audience": Flags.string({
    description: "accept only tokens with this claim `aud` (can be repeated; default: any)",
    env: "TOKEN_AUDIENCE",
    multiple: true
  }),
  "token-leeway": Flags.string({
    description: "how far the clock of an issuer may be ahead, for the claims `iat` and `nbf` (default: 5s)",
    env: "TOKEN_LEEWAY"
  }),
  "token-max-lifetime": Flags.string({
    description: "accept only tokens that last no longer, from `iat` to `exp`: 15m, 1h, 30d … (default: any)",
    env: "TOKEN_MAX_LIFETIME"
  })
}

type Given = { readonly [Name in keyof typeof tokenFlags]?: string | ReadonlyArray<string> | undefined }

/** The settings that the flags and their variables name, with these secrets. */
export const tokenSettings = (flags: Given, secrets: ReadonlyArray<TokenSecret>): JwtAccess.JwtAccessOptions => {
  const text = (name: keyof typeof tokenFlags) => [flags[name] ?? []].flat()[0]
  // oclif does not split a variable: from there, the value is one text.
  const list = (name: keyof typeof tokenFlags) =>
    [flags[name] ?? []].flat().flatMap((value) => value.split(",").flatMap((part) => part.trim() || []))
  const [jwks, leeway, maxLifetime] = [text("token-jwks"), text("token-leeway"), text("token-max-lifetime")]
  return {
    ...{ secrets, issuer: list("token-issuer"), audience: list("token-audience") },
    ...(jwks ? { jwks } : {}),
    // The only duration that may be zero.
    ...(leeway ? { leeway: leeway === "0s" ? 0 : durationOf(leeway) } : {}),
    ...(maxLifetime ? { maxLifetime: durationOf(maxLifetime) } : {})
  }
}
