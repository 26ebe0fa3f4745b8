import { Args, Flags } from "@oclif/core"
import { BaseCommand } from "../BaseCommand.ts"

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
  /** Bytes of sealed payloads freed. */
  readonly payloadBytes: number
  /** Uploaded by Verdant's clients. */
  readonly files: number
  readonly fileBytes: number
  /** Their bytes are gone; false: servers delete them. */
  readonly filesDeleted: boolean
  /** The library is closed until `sync-admin resume`. */
  readonly suspended: boolean
}

export default class Evict extends BaseCommand<EvictResult> {
  static override description = `Drop the sealed bytes of a library's documents, or of one.

The events stay, so the history can still be checked. Clients that are connected and still have a document restore it at once; the others when they come back. What no client has is gone. What Verdant's clients keep in the library goes as a whole, and is what the first of them to come back has. The files that they uploaded go with it: now, with --files, also those of an eviction before; without, a server deletes them, when somebody is connected to the library or comes back, and within two days otherwise.`
  static override examples = [
    "<%= config.bin %> evict notes --dry-run",
    "<%= config.bin %> evict notes --document welcome --yes",
    "<%= config.bin %> evict notes --suspend --files ./data/files --yes"
  ]
  static override args = { libraryId: Args.string({ description: "the library", required: true }) }
  static override flags = {
    document: Flags.string({ description: "only this document" }),
    suspend: Flags.boolean({
      description: "close the library first, so that nobody restores it before `sync-admin resume`",
      default: false,
      exclusive: ["document"]
    }),
    files: Flags.string({
      description:
        "where the servers keep files of Verdant's clients: a directory, or s3 (configured by S3_… variables)",
      env: "SEALOG_FILES"
    }),
    "dry-run": Flags.boolean({ description: "only say what would be freed", default: false }),
    yes: Flags.boolean({ char: "y", description: "do not ask", default: false })
  }

  async run(): Promise<EvictResult> {
    const { args, flags } = await this.parse(Evict)
    const { documentIdOf, libraryIdOf } = await import("../input/ids.ts")
    const { evict } = await import("@sealog/server/admin")
    const { suspend } = await import("@sealog/server/admin")
    const { VERDANT } = await import("@sealog/server/admin")
    const { bytes, count } = await import("../output/format.ts")
    const { confirm } = await import("../output/confirm.ts")
    const target = {
      libraryId: libraryIdOf(args.libraryId),
      ...(flags.document === undefined ? {} : { documentId: documentIdOf(flags.document) })
    }
    const { provide } = await import("effect/Effect")
    const { existingFileStore } = await import("../backends/blobStore.ts")
    const store = flags.files === undefined ? undefined : await existingFileStore(flags.files)
    const run = (dryRun: boolean) => {
      const evicting = evict({ ...target, dryRun })
      return this.executeOn(flags.database, store === undefined || dryRun ? evicting : provide(evicting, store))
    }
    const sum = (documents: EvictResult["documents"], what: "payloadBytes" | "files" | "fileBytes"): number =>
      documents.reduce((sum, document) => sum + document[what], 0)
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
    if (flags.suspend) await this.executeOn(flags.database, suspend(target.libraryId))
    const done = summarise(await run(false), false)
    const { documents, files, filesDeleted, payloadBytes } = done
    const freed = `${bytes(payloadBytes)}${filesOf(done)}`
    if (flags.suspend) this.print(`Suspended ${target.libraryId}.`)
    this.print(documents.length === 0 ? nothing : `Evicted ${namesOf(documents)}, freed ${freed}.`)
    if (files > 0 && !filesDeleted) this.print("The files' bytes are still there: a server deletes them.")
    return done
  }
}
