import { Args } from "@oclif/core"
import { BaseCommand } from "../../BaseCommand.ts"
import { CliFailure } from "../../output/CliFailure.ts"

interface InspectResult {
  readonly valid: boolean
  /** Why the server would refuse the token. */
  readonly reason?: string
  readonly claims: Readonly<Record<string, unknown>>
}

export default class TokenInspect extends BaseCommand<InspectResult> {
  static override summary = "Show the claims of a token, and whether a server would accept it."
  static override description =
    `Prefer stdin to the argument: every user of the machine can see arguments. Exit code 1 if a server with these secrets would refuse the token. Revocations and suspended libraries are not checked.`
  static override examples = ["<%= config.bin %> token inspect <token>", "pbpaste | <%= config.bin %> token inspect"]
  static override args = { token: Args.string({ description: "token (default: read from stdin)" }) }

  async run(): Promise<InspectResult> {
    const { args } = await this.parse(TokenInspect)
    const { tokenSecrets } = await import("../../input/secrets.ts")
    const secrets = tokenSecrets()
    const token = (args.token ?? (await readStdin())).trim()
    const claims = decodeClaims(token)
    const { Access } = await import("@sealog/server/ports")
    const { JwtAccess } = await import("@sealog/server/adapters")
    const { Effect } = await import("effect")
    const verify = Effect.flatMap(Access, (access) => Effect.result(access.verify(token)))
    const verdict = await this.execute(Effect.provide(verify, JwtAccess.layerTokens(secrets)))
    const valid = verdict._tag === "Success"
    for (const [name, value] of Object.entries(claims)) this.print(`${name.padEnd(6)} ${describe(name, value)}`)
    this.print(verdict._tag === "Success" ? "valid" : `refused: ${verdict.failure.message}`)
    if (!valid) process.exitCode = 1
    return { valid, ...(verdict._tag === "Success" ? {} : { reason: verdict.failure.reason }), claims }
  }
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
  (name === "exp" || name === "iat") && typeof value === "number" && Math.abs(value) <= 8.64e12
    ? `${value} (${new Date(value * 1000).toISOString()})`
    : JSON.stringify(value)
