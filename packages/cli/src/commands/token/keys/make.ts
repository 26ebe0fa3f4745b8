import * as Args from "@oclif/core/args"
import * as Flags from "@oclif/core/flags"
import { JwtAccess } from "@sealog/server/adapters"
import { value } from "effect/Redacted"
import { BaseCommand } from "../../../BaseCommand.ts"
import { nameInvalid } from "../../../input/ids.ts"
import { writeKeyFile } from "../../../output/writeKeyFile.ts"

const ALGORITHMS = ["EdDSA", "ES256", "RS256"] as const

interface KeysMakeResult {
  readonly file: string
  /** The name that tokens give the key. */
  readonly kid: string
  readonly alg: string
}

export default class TokenKeysMake extends BaseCommand<KeysMakeResult> {
  static override summary = "Make a key pair that signs tokens, and write its private key to a new file."
  static override description =
    `Only the owner of the file can read it. A file that exists is never overwritten. Keep it where tokens are made: the servers need the public key alone, which \`token keys jwks\` prints.`
  static override examples = [
    "<%= config.bin %> token keys make ./token-key.json",
    "<%= config.bin %> token keys make ./token-key-2.json --alg ES256 --kid 2026-11"
  ]
  static override args = { file: Args.string({ description: "new file for the private key", required: true }) }
  static override flags = {
    alg: Flags.option({ options: ALGORITHMS })({ description: "algorithm of the signatures", default: "EdDSA" }),
    kid: Flags.string({ description: "name of the key in its tokens (default: its RFC 7638 thumbprint)" })
  }

  async run(): Promise<KeysMakeResult> {
    const { args, flags } = await this.parse(TokenKeysMake)
    if (flags.kid !== undefined && !/^[\w.~-]{1,64}$/.test(flags.kid)) {
      throw nameInvalid("key", "1 to 64 letters, digits and . _ ~ -")
    }
    const privateKey = await this.execute(JwtAccess.generateSigningKey(flags.alg, flags.kid))
    writeKeyFile(args.file, value(privateKey), "a key that is replaced would make its tokens worthless")
    const { kid }: { readonly kid: string } = JSON.parse(value(privateKey))
    this.print(`Wrote the private key ${kid} (${flags.alg}) to ${args.file}.`)
    return { file: args.file, kid, alg: flags.alg }
  }
}
