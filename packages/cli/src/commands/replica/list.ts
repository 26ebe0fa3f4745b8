import { Args } from "@oclif/core"
import { BaseCommand } from "../../BaseCommand.ts"
import { noSuchLibrary } from "../../output/notFound.ts"

interface ReplicaListResult {
  readonly libraryId: string
  readonly replicas: ReadonlyArray<{
    readonly replicaId: string
    readonly userId: string
    readonly type: string
    /** It is known to have everything up to this version. */
    readonly received: number | null
    /** It will not send an operation any more that is older: Verdant's timestamp, and the milliseconds since 1970 in it. */
    readonly promise: string | null
    readonly promisedAt: number | null
    /** Milliseconds since 1970. */
    readonly seen: number
    readonly truant: boolean
  }>
}

export default class ReplicaList extends BaseCommand<ReplicaListResult> {
  static override description = `List the replicas of a library: its copies on the devices of Verdant's clients.

RECEIVED: it is known to have everything up to this version. PROMISE (UTC): it will not send anything older any more, so what all have promised can be folded. Truant is who was not heard of for 7 days, or was made so by \`sync-admin replica truant\`: it is not waited for.`
  static override examples = ["<%= config.bin %> replica list notes", "<%= config.bin %> replica list notes --json"]
  static override args = { libraryId: Args.string({ description: "the library", required: true }) }

  async run(): Promise<ReplicaListResult> {
    const { args, flags } = await this.parse(ReplicaList)
    const { libraryIdOf } = await import("../../input/ids.ts")
    const { showLibrary } = await import("@sealog/server/admin")
    const { libraryInfo } = await import("@sealog/server/admin")
    const { all } = await import("effect/Effect")
    const { millisOf, reading, replicaTypeOf } = await import("../../backends/readVerdant.ts")
    const { ago, table, time } = await import("../../output/format.ts")
    const libraryId = libraryIdOf(args.libraryId)
    const [library, info] = await this.executeOn(
      flags.database,
      all([showLibrary(libraryId), reading(libraryId, libraryInfo(libraryId))])
    )
    if (library === undefined) throw noSuchLibrary(libraryId)
    const replicas = (info?.replicas ?? [])
      .map(({ id, type, promise, ...replica }) => ({
        ...{ replicaId: id, type: replicaTypeOf(type), promise, promisedAt: millisOf(promise) },
        ...replica
      }))
      .toSorted((a, b) => b.seen - a.seen)
    const rows = replicas.map(({ replicaId, userId, type, received, promisedAt, seen, truant }) => [
      replicaId,
      userId,
      type,
      received === null ? "nothing" : String(received),
      promisedAt === null ? "none" : time(promisedAt),
      ago(seen),
      truant ? "truant" : ""
    ])
    const header = ["REPLICA", "USER", "TYPE", "RECEIVED", "PROMISE", "LAST SEEN", ""]
    this.print(replicas.length === 0 ? "No replicas." : table(header, rows))
    return { libraryId, replicas }
  }
}
