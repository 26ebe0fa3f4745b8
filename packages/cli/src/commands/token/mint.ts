import { Flags } from "@oclif/core"
import { BaseCommand } from "../../BaseCommand.ts"

const TYPES = ["realtime", "push", "passive-realtime", "passive-push", "read-only-pull", "read-only"] as const

interface MintResult {
  readonly token: string
}

export default class TokenMint extends BaseCommand<MintResult> {
  static override summary = "Create an access token and print it."
  static override description =
    "Signs with TOKEN_SECRET or TOKEN_SECRET_FILE, which must be those of the servers. Prints the token and nothing else."
  static override examples = [
    "<%= config.bin %> token mint --library notes --user ada",
    "<%= config.bin %> token mint --library notes --user guest --document welcome --type read-only --expires 1h"
  ]
  static override flags = {
    library: Flags.string({ description: "library that the token grants access to", required: true }),
    user: Flags.string({ description: "user that the token identifies", required: true }),
    document: Flags.string({ description: "grant access only to this document (can be repeated)", multiple: true }),
    type: Flags.option({ options: TYPES })({ description: "rights of the bearer", default: "realtime" }),
    expires: Flags.string({ description: "how long the token is valid: 30s, 15m, 1h, 1d …", default: "1d" }),
    endpoint: Flags.string({ description: "URL at which Verdant clients find the server (claim `url`)" })
  }

  async run(): Promise<MintResult> {
    const { flags } = await this.parse(TokenMint)
    const { tokenSecrets } = await import("../../input/secrets.ts")
    const secrets = tokenSecrets()
    const { documentIdOf, libraryIdOf, userIdOf } = await import("../../input/ids.ts")
    const { Access } = await import("@sealog/server/ports")
    const { JwtAccess } = await import("@sealog/server/adapters")
    const { durationOf } = await import("../../input/durations.ts")
    const { Duration, Effect } = await import("effect")
    const request = {
      userId: userIdOf(flags.user),
      libraryId: libraryIdOf(flags.library),
      type: flags.type,
      expiresIn: Duration.millis(durationOf(flags.expires)),
      ...(flags.document === undefined ? {} : { documents: flags.document.map(documentIdOf) }),
      ...(flags.endpoint === undefined ? {} : { endpoint: flags.endpoint })
    }
    const mint = Effect.flatMap(Access, (access) => access.mint(request))
    const token = await this.execute(Effect.provide(mint, JwtAccess.layerTokens(secrets)))
    this.print(token)
    return { token }
  }
}
