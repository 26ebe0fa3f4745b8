import * as Args from "@oclif/core/args"
import * as Flags from "@oclif/core/flags"
import type { SignedCheckpoint } from "@sealog/server/admin"
import { makeCheckpoint } from "@sealog/server/admin"
import { BaseCommand } from "../../BaseCommand.ts"
import { signerOf } from "../../input/checkpointKeys.ts"

export default class Checkpoint extends BaseCommand<SignedCheckpoint> {
  static override summary = "Sign a checkpoint of the whole log, and print it."
  static override description =
    `A checkpoint is a signed note (C2SP tlog-checkpoint) with the root of a Merkle tree over the heads of all streams. Keep its folder, and its key, where the database's owner cannot write: \`sync-admin replay --since\` then shows whether anything before it was changed or removed.

The command first compares the log with the folder's newest checkpoint. If a stream does not continue it, the command names the stream, exits with 1, and signs nothing. Servers can keep running; \`sync-admin serve --checkpoints\` makes checkpoints by itself.`
  static override examples = ["<%= config.bin %> checkpoint ./checkpoints --key-file ./checkpoint-key"]
  static override args = { folder: Args.string({ description: "folder of this log's checkpoints", required: true }) }
  static override flags = {
    "key-file": Flags.string({
      description: "file with the private key, as `checkpoint key` wrote it",
      env: "SEALOG_CHECKPOINT_KEY_FILE",
      required: true
    })
  }

  async run(): Promise<SignedCheckpoint> {
    const { args, flags } = await this.parse(Checkpoint)
    const made = await this.executeOn(flags.database, makeCheckpoint(args.folder, signerOf(flags["key-file"])))
    this.print(made.note.trimEnd())
    return made
  }
}
