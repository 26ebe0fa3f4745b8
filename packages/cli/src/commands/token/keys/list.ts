import * as Args from "@oclif/core/args"
import { JwtAccess } from "@sealog/server/adapters"
import { flatMap, scoped } from "effect/Effect"
import { BaseCommand } from "../../../BaseCommand.ts"
import { keysOfFiles } from "../../../input/keyFiles.ts"
import { findTokenSecrets, throwNoSecret } from "../../../input/secrets.ts"
import { tokenFlags, tokenSettings } from "../../../input/tokenSettings.ts"
import { table } from "../../../output/format.ts"

interface ListedKey {
  /** The name that tokens give the key; null for a secret without a name. */
  readonly kid: string | null
  readonly alg: string
  readonly kind: "secret" | "public" | "private"
  /** The file of the key; null for a key of the settings. */
  readonly file: string | null
}

interface KeysListResult {
  readonly keys: ReadonlyArray<ListedKey>
}

export default class TokenKeysList extends BaseCommand<KeysListResult> {
  static override summary = "List the keys that a server verifies tokens with, or the keys in files."
  static override description =
    `Without files, the keys of the settings: TOKEN_SECRET or TOKEN_SECRET_FILE, and --token-jwks, which is loaded as a server does. No secret and no private key is printed.`
  static override examples = [
    "<%= config.bin %> token keys list",
    "<%= config.bin %> token keys list ./token-key.json ./token-key-2.json"
  ]
  static override args = { files: Args.string({ description: "files of keys", multiple: true, default: [] }) }
  static override flags = { "token-jwks": tokenFlags["token-jwks"] }

  async run(): Promise<KeysListResult> {
    const { args, flags } = await this.parse(TokenKeysList)
    const keys = args.files.length > 0 ? await this.ofFiles(args.files) : await this.ofSettings(flags)
    const rows = keys.map(({ alg, file, kid, kind }) => [kid ?? "-", alg, kind, file ?? "settings"])
    this.print(table(["KID", "ALG", "KIND", "FROM"], rows))
    return { keys }
  }

  private async ofFiles(files: ReadonlyArray<string>): Promise<ReadonlyArray<ListedKey>> {
    const keys = await this.execute(keysOfFiles(files))
    return keys.map(({ file, isPrivate, publicJwk }) => ({
      kid: String(publicJwk["kid"]),
      alg: String(publicJwk["alg"]),
      kind: isPrivate ? "private" : "public",
      file
    }))
  }

  private async ofSettings(flags: { readonly "token-jwks": string | undefined }): Promise<ReadonlyArray<ListedKey>> {
    const settings = tokenSettings(flags, findTokenSecrets() ?? [])
    if (settings.secrets?.length === 0 && settings.jwks === undefined) throwNoSecret()
    const keys = await this.execute(scoped(flatMap(JwtAccess.makeVerifier(settings), ({ keys }) => keys)))
    return keys.map(({ alg, kid, source }) => ({
      ...{ kid, alg, file: null },
      kind: source === "secret" ? "secret" : "public"
    }))
  }
}
