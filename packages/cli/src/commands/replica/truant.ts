import * as Args from "@oclif/core/args"
import { BaseCommand } from "../../BaseCommand.ts"
import { libraryIdOf } from "../../input/ids.ts"
import { targetFlags } from "../../input/server.ts"
import { replicaIdOf } from "../../input/verdantIds.ts"
import { CliFailure } from "../../output/CliFailure.ts"
import { shellWord } from "../../output/shellWord.ts"

interface ReplicaTruantResult {
  readonly libraryId: string
  readonly replicaId: string
  /** False if the replica was marked before. */
  readonly changed: boolean
}

export default class ReplicaTruant extends BaseCommand<ReplicaTruantResult> {
  static override summary = "Mark a replica as truant, so that the server stops waiting for it."
  static override description = `Use it for a device that is gone for good and holds compaction back.

If the replica returns after all and lacks operations that were compacted, the server resets it to the library's state. Changes that it made and did not send are then lost.`
  static override examples = ["<%= config.bin %> replica truant notes 4dJcR0mZq8"]
  static override args = {
    libraryId: Args.string({ description: "name of the library", required: true }),
    replicaId: Args.string({ description: "id of the replica, as `sync-admin replica list` shows it", required: true })
  }
  static override flags = targetFlags

  async run(): Promise<ReplicaTruantResult> {
    const { args, flags } = await this.parse(ReplicaTruant)
    const [libraryId, replicaId] = [libraryIdOf(args.libraryId), replicaIdOf(args.replicaId)]
    const info = await this.administer(flags, ({ verdant }) => verdant(libraryId))
    if (!info?.replicas.some(({ id }) => id === replicaId)) {
      throw new CliFailure({
        code: "NO_SUCH_REPLICA",
        message: `The library ${libraryId} has no replica ${replicaId}.`,
        exitCode: 1,
        tryThis: `sync-admin replica list ${shellWord(libraryId)}`
      })
    }
    const changed = await this.administer(flags, ({ truant }) => truant(libraryId, replicaId))
    this.print(changed ? `${replicaId} is truant.` : `${replicaId} was marked as truant before.`)
    return { libraryId, replicaId, changed }
  }
}
