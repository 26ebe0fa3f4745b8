import { Args, Flags } from "@oclif/core"
import { BaseCommand } from "../BaseCommand.ts"
import { CliFailure } from "../output/CliFailure.ts"

interface PruneResult {
  readonly dryRun: boolean
  readonly documents: ReadonlyArray<{
    readonly libraryId: string
    readonly documentId: string
    /** Events with a smaller version hold no payload any more. */
    readonly before: number
    readonly payloads: number
    readonly payloadBytes: number
  }>
  readonly payloads: number
  /** Bytes of sealed payloads freed. */
  readonly payloadBytes: number
}

export default class Prune extends BaseCommand<PruneResult> {
  static override description = `Delete sealed bytes that no client can need any more.

Clients are served from a document's newest snapshot on. The payloads of what came before are deleted, but for the newest snapshots that --keep-snapshots names, with their updates, and for what is younger than --older-than. Every event stays, and so do the proofs that clients and \`replay\` check. What Verdant's clients keep is left alone: servers prune it themselves, as they fold it.`
  static override examples = [
    "<%= config.bin %> prune notes --dry-run",
    "<%= config.bin %> prune notes --document welcome --keep-snapshots 3 --yes",
    "<%= config.bin %> prune --all --older-than 90d --yes"
  ]
  static override args = { libraryId: Args.string({ description: "the library" }) }
  static override flags = {
    all: Flags.boolean({ description: "every library", default: false }),
    document: Flags.string({ description: "only this document", exclusive: ["all"] }),
    "keep-snapshots": Flags.integer({
      description: "newest snapshots to keep with their updates, the active one included",
      default: 1,
      min: 1
    }),
    "older-than": Flags.string({ description: "only what was recorded so long ago: 12h, 30d …", default: "30d" }),
    "dry-run": Flags.boolean({ description: "only say what would be freed", default: false }),
    yes: Flags.boolean({ char: "y", description: "do not ask", default: false })
  }

  async run(): Promise<PruneResult> {
    const { args, flags } = await this.parse(Prune)
    if ((args.libraryId === undefined) !== flags.all) {
      throw new CliFailure({
        code: "USAGE",
        message: "Either a library or --all has to be given.",
        exitCode: 2,
        tryThis: "sync-admin prune <libraryId> --dry-run"
      })
    }
    const { documentIdOf, libraryIdOf } = await import("../input/ids.ts")
    const { prune } = await import("@sealog/server/admin")
    const { bytes, count, table } = await import("../output/format.ts")
    const { timestampOf } = await import("../input/timestamps.ts")
    const { confirm } = await import("../output/confirm.ts")
    const options = {
      keepSnapshots: flags["keep-snapshots"],
      recordedUntil: timestampOf(flags["older-than"], Date.now()),
      ...(args.libraryId === undefined ? {} : { libraryId: libraryIdOf(args.libraryId) }),
      ...(flags.document === undefined ? {} : { documentId: documentIdOf(flags.document) })
    }
    const run = async (dryRun: boolean): Promise<PruneResult> => {
      const documents = await this.executeOn(flags.database, prune({ ...options, dryRun }))
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
