import { Args } from "@oclif/core"
import { BaseCommand } from "../../BaseCommand.ts"
import { CliFailure } from "../../output/CliFailure.ts"

interface InspectResult {
  readonly valid: boolean
  /** Why it is refused. */
  readonly reason?: string
  readonly claims: Readonly<Record<string, unknown>>
}

export default class TokenInspect extends BaseCommand<InspectResult> {
  static override description = `Say what a token grants, and whether this server would take it.

Reads the token from the argument or, better, from stdin: arguments are seen by every user of the machine. Exit code 1 when it would be refused.`
  static override examples = ["<%= config.bin %> token inspect <token>", "pbpaste | <%= config.bin %> token inspect"]
  static override args = { token: Args.string({ description: "the token (default: from stdin)" }) }

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
      tryThis: "sync-admin token inspect <token>, or the token on stdin"
    })
  }
  let text = ""
  for await (const chunk of process.stdin) text += chunk
  return text
}

/** The claims as they stand there, believed or not. */
const decodeClaims = (token: string): Readonly<Record<string, unknown>> => {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString())
    if (typeof claims === "object" && claims !== null) return { ...claims }
  } catch {
    // Not JSON: not a token.
  }
  throw new CliFailure({ code: "NOT_A_TOKEN", message: "That is not a token (JWT).", exitCode: 1 })
}

const describe = (name: string, value: unknown): string =>
  // A date has at most 8.64e15 milliseconds; a token may claim anything.
  (name === "exp" || name === "iat") && typeof value === "number" && Math.abs(value) <= 8.64e12
    ? `${value} (${new Date(value * 1000).toISOString()})`
    : JSON.stringify(value)
