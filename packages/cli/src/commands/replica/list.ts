import * as Args from "@oclif/core/args"
import { BaseCommand } from "../../BaseCommand.ts"
import { millisOf, replicaTypeOf } from "../../backends/readVerdant.ts"
import { libraryIdOf } from "../../input/ids.ts"
import { targetFlags } from "../../input/server.ts"
import { ago, table, time } from "../../output/format.ts"

interface ReplicaListResult {
  readonly libraryId: string
  readonly replicas: ReadonlyArray<{
    readonly replicaId: string
    readonly userId: string
    readonly type: string
    /** The replica is known to have every event up to this version. */
    readonly received: number | null
    /** The replica promised to send no older operation. A Verdant timestamp. */
    readonly promise: string | null
    /** The milliseconds since 1970 in the promise. */
    readonly promisedAt: number | null
    /** When the server last heard from the replica, in milliseconds since 1970. */
    readonly seen: number
    readonly truant: boolean
  }>
}

export default class ReplicaList extends BaseCommand<ReplicaListResult> {
  static override summary = "List the replicas of a library: the copies on Verdant clients' devices."
  static override description = `RECEIVED: the replica is known to have every event up to this version.

PROMISE (UTC): the replica sends no operation older than this. Servers compact the operations that are older than every promise, so one replica that stays away holds compaction back.

truant: the server does not wait for this replica, because it was away for 7 days or \`sync-admin replica truant\` named it.`
  static override examples = ["<%= config.bin %> replica list notes", "<%= config.bin %> replica list notes --json"]
  static override args = { libraryId: Args.string({ description: "name of the library", required: true }) }
  static override flags = targetFlags

  async run(): Promise<ReplicaListResult> {
    const { args, flags } = await this.parse(ReplicaList)
    const libraryId = libraryIdOf(args.libraryId)
    const info = await this.administer(flags, ({ verdant }) => verdant(libraryId))
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
