import { Args, Flags } from "@oclif/core"
import { BaseCommand } from "../BaseCommand.ts"
import { attributionOf, operatorFlags } from "../input/operator.ts"
import { CliFailure } from "../output/CliFailure.ts"

interface EvictResult {
  readonly libraryId: string
  readonly dryRun: boolean
  readonly documents: ReadonlyArray<{
    readonly documentId: string
    readonly events: number
    readonly payloadBytes: number
    readonly files: number
    readonly fileBytes: number
  }>
  /** Bytes of deleted payloads. */
  readonly payloadBytes: number
  /** Files uploaded by Verdant clients. */
  readonly files: number
  readonly fileBytes: number
  /** True if this command deleted the files' bytes; false if servers will delete them. */
  readonly filesDeleted: boolean
  /** True if this command closed the library; `sync-admin resume` opens it. */
  readonly suspended: boolean
}

export default class Evict extends BaseCommand<EvictResult> {
  static override summary = "Delete a library's payloads and keep its events."
  static override description =
    `A document that no client has any more is lost. Use --dry-run to see what would be deleted. The command asks for the library's name unless you give --yes.

Connected clients that have a document restore it at once, other clients when they return; --suspend closes the library first. Verdant data is evicted as a whole, and the first client to return restores it from its replica. Events stay, so \`sync-admin replay\` can still verify the history.

Uploaded files are evicted with the Verdant data. With --files this command deletes their bytes, also those of earlier evictions. Without --files a server deletes them: when a client of the library is connected or returns, or within two days.`
  static override examples = [
    "<%= config.bin %> evict notes --dry-run",
    "<%= config.bin %> evict notes --document welcome --yes",
    "<%= config.bin %> evict notes --suspend --files ./data/files --yes"
  ]
  static override args = { libraryId: Args.string({ description: "name of the library", required: true }) }
  static override flags = {
    ...operatorFlags,
    document: Flags.string({ description: "evict only this document" }),
    suspend: Flags.boolean({
      description: "close the library first, so that no client restores it before `sync-admin resume`",
      default: false,
      exclusive: ["document"]
    }),
    files: Flags.string({
      description: "where the servers keep uploaded files: a directory, or s3 (configured by S3_… variables)",
      env: "SEALOG_FILES"
    }),
    "dry-run": Flags.boolean({ description: "only show what would be deleted", default: false }),
    yes: Flags.boolean({ char: "y", description: "do not ask for confirmation", default: false })
  }

  async run(): Promise<EvictResult> {
    const { args, flags } = await this.parse(Evict)
    const { documentIdOf, libraryIdOf } = await import("../input/ids.ts")
    const { evict } = await import("@sealog/server/admin")
    const { suspend } = await import("@sealog/server/admin")
    const { VERDANT } = await import("@sealog/server/admin")
    const { bytes, count } = await import("../output/format.ts")
    const { confirm } = await import("../output/confirm.ts")
    const by = await attributionOf(flags)
    if (!flags.suspend && (flags.as !== undefined || flags.reason !== undefined)) {
      throw new CliFailure({
        code: "USAGE",
        message: "--as and --reason are kept in the event of --suspend, and an eviction alone has none.",
        exitCode: 2,
        tryThis: "add --suspend, or leave them out"
      })
    }
    const target = {
      libraryId: libraryIdOf(args.libraryId),
      ...(flags.document === undefined ? {} : { documentId: documentIdOf(flags.document) })
    }
    const { provide } = await import("effect/Effect")
    const { existingBlobStoreOf } = await import("../backends/blobStore.ts")
    const store = flags.files === undefined ? undefined : await existingBlobStoreOf(flags.files)
    const run = (dryRun: boolean) => {
      const evicting = evict({ ...target, dryRun })
      return this.executeOn(flags.database, store === undefined || dryRun ? evicting : provide(evicting, store))
    }
    const sum = (documents: EvictResult["documents"], field: "payloadBytes" | "files" | "fileBytes"): number =>
      documents.reduce((sum, document) => sum + document[field], 0)
    const summarise = (documents: EvictResult["documents"], dryRun: boolean): EvictResult => ({
      libraryId: target.libraryId,
      dryRun,
      documents,
      payloadBytes: sum(documents, "payloadBytes"),
      files: sum(documents, "files"),
      fileBytes: sum(documents, "fileBytes"),
      filesDeleted: store !== undefined && !dryRun,
      suspended: flags.suspend && !dryRun
    })

    const namesOf = (evicted: EvictResult["documents"]): string => {
      const documents = evicted.filter(({ documentId }) => documentId !== VERDANT).length
      const library = documents < evicted.length ? ["Verdant data"] : []
      return [...(documents > 0 ? [count(documents, "document")] : []), ...library].join(" and ") || "nothing"
    }
    const filesOf = ({ fileBytes, files }: EvictResult): string =>
      files === 0 ? "" : ` and ${count(files, "file")} of ${bytes(fileBytes)}`
    const nothing = `Nothing to evict in ${target.libraryId}.`
    if (flags["dry-run"] || !flags.yes) {
      const planned = summarise(await run(true), true)
      const scope = `${namesOf(planned.documents)}, ${bytes(planned.payloadBytes)} of payloads${filesOf(planned)}`
      if ((planned.documents.length === 0 && !flags.suspend) || flags["dry-run"]) {
        this.print(planned.documents.length === 0 ? nothing : `Would evict ${scope}.`)
        return { ...planned, dryRun: flags["dry-run"] }
      }
      await confirm(`evict ${scope}`, target.libraryId)
    }
    if (flags.suspend) await this.executeOn(flags.database, suspend(target.libraryId, by))
    const done = summarise(await run(false), false)
    const { documents, files, filesDeleted, payloadBytes } = done
    const freed = `${bytes(payloadBytes)}${filesOf(done)}`
    if (flags.suspend) this.print(`Suspended ${target.libraryId}.`)
    this.print(documents.length === 0 ? nothing : `Evicted ${namesOf(documents)}, freed ${freed}.`)
    if (files > 0 && !filesDeleted)
      this.print(
        "The bytes of the files are still stored. A server deletes them within two days; --files deletes them at once."
      )
    return done
  }
}
