import * as Args from "@oclif/core/args"
import * as Flags from "@oclif/core/flags"
import { BaseCommand } from "../BaseCommand.ts"
import { documentIdOf, libraryIdOf } from "../input/ids.ts"
import { targetFlags } from "../input/server.ts"
import { timestampOf } from "../input/timestamps.ts"
import { CliFailure } from "../output/CliFailure.ts"
import { confirm } from "../output/confirm.ts"
import { bytes, count, table } from "../output/format.ts"

interface PruneResult {
  readonly dryRun: boolean
  readonly documents: ReadonlyArray<{
    readonly libraryId: string
    readonly documentId: string
    /** Events with a smaller version have no payload now. */
    readonly before: number
    readonly payloads: number
    readonly payloadBytes: number
  }>
  readonly payloads: number
  /** Bytes of deleted payloads. */
  readonly payloadBytes: number
}

export default class Prune extends BaseCommand<PruneResult> {
  static override summary = "Delete superseded payloads, which no client needs any more."
  static override description =
    `Clients load a document from its newest snapshot. The command deletes the payloads before it, except those of the newest snapshots (--keep-snapshots) with their updates, and those younger than --older-than. Use --dry-run to see what would be deleted.

Every event stays, and with it the proofs that clients and \`sync-admin replay\` check. Verdant data is left alone: servers purge it themselves after compaction.`
  static override examples = [
    "<%= config.bin %> prune notes --dry-run",
    "<%= config.bin %> prune notes --document welcome --keep-snapshots 3 --yes",
    "<%= config.bin %> prune --all --older-than 90d --yes"
  ]
  static override args = { libraryId: Args.string({ description: "name of the library" }) }
  static override flags = {
    ...targetFlags,
    all: Flags.boolean({ description: "prune every library", default: false }),
    document: Flags.string({ description: "prune only this document", exclusive: ["all"] }),
    "keep-snapshots": Flags.integer({
      description: "number of newest snapshots to keep with their updates, the active one included",
      default: 1,
      min: 1
    }),
    "older-than": Flags.string({
      description: "delete only payloads recorded at least this long ago: 12h, 30d …",
      default: "30d"
    }),
    "dry-run": Flags.boolean({ description: "only show what would be deleted", default: false }),
    yes: Flags.boolean({ char: "y", description: "do not ask for confirmation", default: false })
  }

  async run(): Promise<PruneResult> {
    const { args, flags } = await this.parse(Prune)
    if ((args.libraryId === undefined) !== flags.all) {
      throw new CliFailure({
        code: "USAGE",
        message: "Name either a library or --all.",
        exitCode: 2,
        tryThis: "sync-admin prune <libraryId> --dry-run"
      })
    }
    const libraryId = args.libraryId === undefined ? undefined : libraryIdOf(args.libraryId)
    const options = {
      keepSnapshots: flags["keep-snapshots"],
      recordedUntil: timestampOf(flags["older-than"], Date.now()),
      ...(libraryId === undefined ? {} : { libraryId }),
      ...(flags.document === undefined ? {} : { documentId: documentIdOf(flags.document) })
    }
    const run = async (dryRun: boolean): Promise<PruneResult> => {
      const documents = await this.administer(flags, ({ prune }) => prune({ ...options, dryRun }))
      return {
        dryRun,
        documents,
        payloads: documents.reduce((sum, { payloads }) => sum + payloads, 0),
        payloadBytes: documents.reduce((sum, { payloadBytes }) => sum + payloadBytes, 0)
      }
    }
    const scopeOf = ({ documents, payloads, payloadBytes }: PruneResult) =>
      `${count(payloads, "payload")} of ${count(documents.length, "document")}, ${bytes(payloadBytes)}`

    if (flags["dry-run"] || !flags.yes) {
      const planned = await run(true)
      if (planned.documents.length === 0 || flags["dry-run"]) {
        if (planned.documents.length > 0) {
          const rows = planned.documents.map(({ libraryId, documentId, before, payloads, payloadBytes }) => [
            `${libraryId}/${documentId}`,
            before,
            payloads,
            bytes(payloadBytes)
          ])
          this.print(table(["DOCUMENT", "BEFORE VERSION", "PAYLOADS", "SIZE"], rows))
        }
        this.print(planned.documents.length === 0 ? "Nothing to prune." : `Would prune ${scopeOf(planned)}.`)
        return { ...planned, dryRun: flags["dry-run"] }
      }
      await confirm(`delete ${scopeOf(planned)}`, args.libraryId ?? "all")
    }
    const done = await run(false)
    this.print(done.documents.length === 0 ? "Nothing to prune." : `Pruned ${scopeOf(done)}.`)
    return done
  }
}
