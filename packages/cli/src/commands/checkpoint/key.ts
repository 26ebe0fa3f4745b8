import * as Args from "@oclif/core/args"
import * as Flags from "@oclif/core/flags"
import { makeKeys } from "@sealog/server/admin"
import { BaseCommand } from "../../BaseCommand.ts"
import { nameInvalid } from "../../input/ids.ts"
import { writeKeyFile } from "../../output/writeKeyFile.ts"

interface CheckpointKeyResult {
  readonly file: string
  /** The public key: `NAME+HASH+KEY`. */
  readonly verifier: string
}

export default class CheckpointKey extends BaseCommand<CheckpointKeyResult> {
  static override summary = "Make a key pair for checkpoints, and write its private key to a new file."
  static override description =
    `Only the owner of the file can read it. The command prints the public key, with which everybody can verify the checkpoints. Both are texts of C2SP signed-note.`
  static override examples = ["<%= config.bin %> checkpoint key ./checkpoint-key --name sync.example.org/log"]
  static override args = { file: Args.string({ description: "new file for the private key", required: true }) }
  static override flags = {
    name: Flags.string({
      description: "name of the log in its checkpoints, without spaces and +: a host with a path",
      required: true
    })
  }

  async run(): Promise<CheckpointKeyResult> {
    const { args, flags } = await this.parse(CheckpointKey)
    const keys = makeKeys(flags.name)
    if (keys === undefined) {
      throw nameInvalid("log", "1 to 200 characters without a space or +")
    }
    writeKeyFile(args.file, keys.signer, "checkpoints of a replaced key cannot be continued")
    this.print(`Wrote the private key to ${args.file}. The public key:\n${keys.verifier}`)
    return { file: args.file, verifier: keys.verifier }
  }
}
