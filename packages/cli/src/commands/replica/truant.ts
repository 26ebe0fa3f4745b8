import { Args } from "@oclif/core"
import { BaseCommand } from "../../BaseCommand.ts"
import { CliFailure } from "../../output/CliFailure.ts"
import { noSuchLibrary } from "../../output/notFound.ts"

interface ReplicaTruantResult {
  readonly libraryId: string
  readonly replicaId: string
  /** False: it was made so before. */
  readonly changed: boolean
}

export default class ReplicaTruant extends BaseCommand<ReplicaTruantResult> {
  static override description = `Have a replica taken for one that was not heard of for too long.

Nobody waits for it any more, so what the others have promised can be folded. When it comes back and lacks something, it begins anew with what the library holds; what it wrote meanwhile and did not send is lost.`
  static override examples = ["<%= config.bin %> replica truant notes 4dJcR0mZq8"]
  static override args = {
    libraryId: Args.string({ description: "the library", required: true }),
    replicaId: Args.string({ description: "the replica, as `replica list` shows it", required: true })
  }

  async run(): Promise<ReplicaTruantResult> {
    const { args, flags } = await this.parse(ReplicaTruant)
    const { libraryIdOf } = await import("../../input/ids.ts")
    const { replicaIdOf } = await import("../../input/verdantIds.ts")
    const { showLibrary } = await import("@sealog/server/admin")
    const { forceTruant, libraryInfo } = await import("@sealog/server/admin")
    const { reading } = await import("../../backends/readVerdant.ts")
    const { all } = await import("effect/Effect")
    const [libraryId, replicaId] = [libraryIdOf(args.libraryId), replicaIdOf(args.replicaId)]
    const [library, info] = await this.executeOn(
      flags.database,
      all([showLibrary(libraryId), reading(libraryId, libraryInfo(libraryId))])
    )
    if (library === undefined) throw noSuchLibrary(libraryId)
    if (!info?.replicas.some(({ id }) => id === replicaId)) {
      throw new CliFailure({
        code: "NO_SUCH_REPLICA",
        message: `The library ${libraryId} has no replica ${replicaId}.`,
        exitCode: 1,
        tryThis: `sync-admin replica list ${libraryId}`
      })
    }
    const changed = await this.executeOn(flags.database, forceTruant(libraryId, replicaId))
    this.print(changed ? `${replicaId} is truant.` : `${replicaId} was made truant before.`)
    return { libraryId, replicaId, changed }
  }
}
