import * as Args from "@oclif/core/args"
import { JwtAccess } from "@sealog/server/adapters"
import type { TokenRefused } from "@sealog/server/ports"
import * as Effect from "effect/Effect"
import { BaseCommand } from "../../BaseCommand.ts"
import { findAnySecrets, throwNoSecret } from "../../input/secrets.ts"
import { tokenFlags, tokenSettings } from "../../input/tokenSettings.ts"
import { CliFailure } from "../../output/CliFailure.ts"
import { keyLabel } from "../../output/keyLabel.ts"

interface InspectResult {
  readonly valid: boolean
  /** Why the server would refuse the token. */
  readonly reason?: string
  /** The same as a sentence. */
  readonly message?: string
  /** The key that signed the token, if the server has it. */
  readonly key?: JwtAccess.TokenKey
  readonly claims: Readonly<Record<string, unknown>>
}

export default class TokenInspect extends BaseCommand<InspectResult> {
  static override summary = "Show the claims of a token, its key, and whether a server would accept it."
  static override description =
    `Prefer stdin to the argument: every user of the machine can see arguments. Run it with the settings of the servers: TOKEN_SECRET or TOKEN_SECRET_FILE, and the flags below or their variables. Exit code 1 if a server with these settings would refuse the token. Revocations and suspended libraries are not checked.`
  static override examples = ["<%= config.bin %> token inspect <token>", "pbpaste | <%= config.bin %> token inspect"]
  static override flags = tokenFlags
  static override args = { token: Args.string({ description: "token (default: read from stdin)" }) }

  async run(): Promise<InspectResult> {
    const { args, flags } = await this.parse(TokenInspect)
    const settings = tokenSettings(flags, findAnySecrets() ?? [])
    if (settings.secrets?.length === 0 && settings.jwks === undefined) throwNoSecret()
    const token = (args.token ?? (await readStdin())).trim()
    const claims = decodeClaims(token)
    const inspect = Effect.gen(function* () {
      const { check, identify } = yield* JwtAccess.makeVerifier(settings)
      const identified = yield* Effect.result(identify(token))
      if (identified._tag === "Failure") return { refusal: identified.failure }
      const { key, payload } = identified.success
      const checked = yield* Effect.result(check(payload))
      return checked._tag === "Failure" ? { key, refusal: checked.failure } : { key }
    })
    const { key, refusal } = await this.execute<Verdict, unknown>(Effect.scoped(inspect))
    for (const [name, value] of Object.entries(claims)) this.print(`${name.padEnd(6)} ${describe(name, value)}`)
    if (key !== undefined) this.print(`signed with ${keyLabel(key)}`)
    this.print(refusal === undefined ? "valid" : `refused: ${refusal.message}`)
    if (refusal !== undefined) process.exitCode = 1
    return {
      valid: refusal === undefined,
      ...(refusal === undefined ? {} : { reason: refusal.reason, message: refusal.message }),
      ...(key === undefined ? {} : { key }),
      claims
    }
  }
}

interface Verdict {
  readonly key?: JwtAccess.TokenKey
  readonly refusal?: TokenRefused
}

const readStdin = async (): Promise<string> => {
  if (process.stdin.isTTY) {
    throw new CliFailure({
      code: "NO_TOKEN",
      message: "No token was given.",
      exitCode: 2,
      tryThis: "pass the token on stdin, or as `sync-admin token inspect <token>`"
    })
  }
  let text = ""
  for await (const chunk of process.stdin) text += chunk
  return text
}

/** The claims of the token, whether its signature is valid or not. */
const decodeClaims = (token: string): Readonly<Record<string, unknown>> => {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString())
    if (typeof claims === "object" && claims !== null) return { ...claims }
  } catch {
    // The text is no token; reported below.
  }
  throw new CliFailure({ code: "NOT_A_TOKEN", message: "This text is not a token (JWT).", exitCode: 1 })
}

const describe = (name: string, value: unknown): string =>
  // `Date` accepts at most 8.64e15 milliseconds, and a token can claim any number.
  (name === "exp" || name === "iat" || name === "nbf") && typeof value === "number" && Math.abs(value) <= 8.64e12
    ? `${value} (${new Date(value * 1000).toISOString()})`
    : JSON.stringify(value)
