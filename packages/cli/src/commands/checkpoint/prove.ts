import * as Args from "@oclif/core/args"
import * as Flags from "@oclif/core/flags"
import type { CheckpointProof } from "@sealog/server/admin"
import { proveCheckpoint, VERDANT } from "@sealog/server/admin"
import { BaseCommand } from "../../BaseCommand.ts"
import { verifierOf } from "../../input/checkpointKeys.ts"
import { documentIdOf, libraryIdOf } from "../../input/ids.ts"
import { CliFailure } from "../../output/CliFailure.ts"

export default class CheckpointProve extends BaseCommand<CheckpointProof> {
  static override summary = "Print a proof that needs no database, as JSON."
  static override description =
    `With --library: the newest entry of a stream is in the newest checkpoint (RFC 9162, section 2.1.3). With --from: the newest checkpoint continues the one of that many entries (section 2.1.4), so that nothing in it was changed or removed. \`examples/verify-checkpoint.mjs\` verifies both without this program.`
  static override examples = [
    "<%= config.bin %> checkpoint prove ./checkpoints --library notes --document welcome",
    "<%= config.bin %> checkpoint prove ./checkpoints --from 120"
  ]
  static override args = { folder: Args.string({ description: "folder of this log's checkpoints", required: true }) }
  static override flags = {
    verifier: Flags.string({
      description: "public key of the checkpoints: NAME+HASH+KEY, as `checkpoint key` prints it",
      env: "SEALOG_CHECKPOINT_VERIFIER",
      required: true
    }),
    library: Flags.string({ description: "library of the stream", exclusive: ["from"] }),
    document: Flags.string({
      description: "Secsync document of the library (default: the Verdant library itself)",
      dependsOn: ["library"]
    }),
    from: Flags.integer({ description: "number of entries of the earlier checkpoint", min: 1 })
  }

  async run(): Promise<CheckpointProof> {
    const { args, flags } = await this.parse(CheckpointProve)
    if (flags.from === undefined && flags.library === undefined) {
      throw new CliFailure({
        code: "USAGE",
        message: "The command needs --library or --from.",
        exitCode: 2,
        tryThis: "the same command with --help"
      })
    }
    const what =
      flags.from === undefined
        ? {
            libraryId: libraryIdOf(flags.library ?? ""),
            streamId: flags.document === undefined ? VERDANT : documentIdOf(flags.document)
          }
        : { from: flags.from }
    const proof = await this.execute(proveCheckpoint(args.folder, verifierOf(flags.verifier), what))
    this.print(JSON.stringify(proof, undefined, 2))
    return proof
  }
}
