import * as Flags from "@oclif/core/flags"
import { JwtAccess } from "@sealog/server/adapters"
import { Access } from "@sealog/server/ports"
import { millis as duration } from "effect/Duration"
import { flatMap, provide, scoped } from "effect/Effect"
import { make as redacted } from "effect/Redacted"
import { BaseCommand } from "../../BaseCommand.ts"
import { durationOf } from "../../input/durations.ts"
import { documentIdOf, libraryIdOf, publicKeyOf, userIdOf } from "../../input/ids.ts"
import { findAnySecrets, readSecretFile, throwNoSigner } from "../../input/secrets.ts"
import { tokenFlags, tokenSettings } from "../../input/tokenSettings.ts"
import { CliFailure } from "../../output/CliFailure.ts"

const TYPES = ["realtime", "push", "passive-realtime", "passive-push", "read-only-pull", "read-only"] as const

const MAX_ROLE = 200

interface MintResult {
  readonly token: string
}

export default class TokenMint extends BaseCommand<MintResult> {
  static override summary = "Create an access token and print it."
  static override description =
    `Signs with the first secret of TOKEN_SECRET or TOKEN_SECRET_FILE, which must be those of the servers; or with a private key, whose public key the servers find in --token-jwks. Where a server was started with --dev, and no secret is set, signs with its secret. Prints the token and nothing else.

The token names the first --token-issuer and --token-audience, and lasts no longer than --token-max-lifetime.`
  static override examples = [
    "<%= config.bin %> token mint --library notes --user ada",
    "<%= config.bin %> token mint --library notes --user guest --document welcome --type read-only --expires 1h",
    "<%= config.bin %> token mint --library notes --user ada --sign-with ./token-key.json",
    "<%= config.bin %> token mint --library notes --user search-index --changes --expires 30d",
    "<%= config.bin %> token mint --admin --user grace --expires 8h"
  ]
  static override flags = {
    library: Flags.string({ description: "library that the token grants access to", exactlyOne: ["library", "admin"] }),
    user: Flags.string({ description: "user that the token identifies", required: true }),
    admin: Flags.boolean({
      description:
        "make the token of an operator in place of a client's: its bearer may do by HTTP what sync-admin does on the database",
      exactlyOne: ["library", "admin"]
    }),
    document: Flags.string({ description: "grant access only to this document (can be repeated)", multiple: true }),
    type: Flags.option({ options: TYPES })({ description: "rights of the bearer", default: "realtime" }),
    expires: Flags.string({ description: "how long the token is valid: 30s, 15m, 1h, 1d …", default: "1d" }),
    "signing-key": Flags.string({
      description: "let the user write with this Secsync signing key only (claim `keys`; can be repeated)",
      multiple: true
    }),
    "sign-with": Flags.string({
      description: "file of the private key that signs the token, as `token keys make` writes it",
      env: "TOKEN_KEY_FILE"
    }),
    "token-issuer": tokenFlags["token-issuer"],
    "token-audience": tokenFlags["token-audience"],
    "token-max-lifetime": tokenFlags["token-max-lifetime"],
    endpoint: Flags.string({ description: "URL at which Verdant clients find the server (claim `url`)" }),
    "file-endpoint": Flags.string({
      description: "URL at which Verdant clients find files (claim `file`; default: /files below --endpoint)"
    }),
    changes: Flags.boolean({
      description:
        "let a backend of the app receive the changes of every user by GET /changes (claim `changes`); never for users",
      default: false
    }),
    role: Flags.string({ description: "the app's own word for the user's rights (claim `role`), which changes carry" })
  }

  async run(): Promise<MintResult> {
    const { flags } = await this.parse(TokenMint)
    const keyFile = flags["sign-with"]
    const secrets = keyFile === undefined ? (findAnySecrets() ?? throwNoSigner()) : []
    const settings = tokenSettings(flags, secrets)
    const millis = durationOf(flags.expires)
    if (settings.maxLifetime !== undefined && millis > Number(settings.maxLifetime)) {
      throw new CliFailure({
        code: "TOKEN_TOO_LONG",
        message: `The servers refuse a token that lasts ${flags.expires}: the longest is ${flags["token-max-lifetime"]}.`,
        exitCode: 2,
        tryThis: `--expires ${flags["token-max-lifetime"]}`
      })
    }
    if (flags.role !== undefined && flags.role.length > MAX_ROLE) {
      throw new CliFailure({
        code: "ROLE_INVALID",
        message: `The role has ${flags.role.length} characters; a server takes at most ${MAX_ROLE}.`,
        exitCode: 2,
        tryThis: "--role editor"
      })
    }
    const signingKey =
      keyFile === undefined ? {} : { signingKey: redacted(readSecretFile(keyFile, "--sign-with (TOKEN_KEY_FILE)")) }
    if (flags.library === undefined) {
      const { mintAdmin } = await this.execute(scoped(JwtAccess.makeVerifier({ ...settings, ...signingKey })))
      const token = await this.execute(mintAdmin({ name: userIdOf(flags.user), expiresIn: duration(millis) }))
      this.print(token)
      return { token }
    }
    const request = {
      userId: userIdOf(flags.user),
      libraryId: libraryIdOf(flags.library),
      type: flags.type,
      expiresIn: duration(millis),
      ...(flags.document === undefined ? {} : { documents: flags.document.map(documentIdOf) }),
      ...(flags["signing-key"] === undefined ? {} : { signingKeys: flags["signing-key"].map(publicKeyOf) }),
      ...(flags.endpoint === undefined ? {} : { endpoint: flags.endpoint }),
      ...(flags["file-endpoint"] === undefined ? {} : { fileEndpoint: flags["file-endpoint"] }),
      ...(flags.role === undefined ? {} : { role: flags.role }),
      ...(flags.changes ? { changes: true } : {})
    }
    const mint = flatMap(Access, (access) => access.mint(request))
    const token = await this.execute(provide(mint, JwtAccess.layer({ ...settings, ...signingKey })))
    this.print(token)
    return { token }
  }
}
