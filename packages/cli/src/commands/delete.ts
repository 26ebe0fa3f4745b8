import { Args, Flags } from "@oclif/core"
import { BaseCommand } from "../BaseCommand.ts"
import { attributionOf, operatorFlags } from "../input/operator.ts"

interface DeleteResult {
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
  /** True if the command allowed the name again, and deleted nothing. */
  readonly allowedAgain: boolean
}

export default class Delete extends BaseCommand<DeleteResult> {
  static override summary = "Delete a library or a document for good."
  static override description =
    `Payloads and files are deleted, and no client can bring them back: servers close the connections at once, and refuse a new library or document of this name until --allow-again. Use --dry-run to see what would be deleted. The command asks for the name unless you give --yes.

Events stay, so \`sync-admin replay\` can still verify the history. They hold ids, times and hashes; docs/erasure.md says which, and how to remove those as well.

Uploaded files are deleted with the Verdant data. With --files this command deletes their bytes; without it a server deletes them within two days.`
  static override examples = [
    "<%= config.bin %> delete notes --dry-run",
    '<%= config.bin %> delete notes --files ./data/files --yes --reason "account closed"',
    "<%= config.bin %> delete notes --document welcome --yes",
    "<%= config.bin %> delete notes --allow-again"
  ]
  static override args = { libraryId: Args.string({ description: "name of the library", required: true }) }
  static override flags = {
    ...operatorFlags,
    document: Flags.string({ description: "delete only this Secsync document" }),
    files: Flags.string({
      description: "where the servers keep uploaded files: a directory, or s3 (configured by S3_… variables)",
      env: "SEALOG_FILES"
    }),
    "allow-again": Flags.boolean({
      description: "delete nothing, and let clients make a deleted library or document of this name again",
      default: false,
      exclusive: ["dry-run", "yes"]
    }),
    "dry-run": Flags.boolean({ description: "only show what would be deleted", default: false }),
    yes: Flags.boolean({ char: "y", description: "do not ask for confirmation", default: false })
  }

  async run(): Promise<DeleteResult> {
    const { args, flags } = await this.parse(Delete)
    const { documentIdOf, libraryIdOf } = await import("../input/ids.ts")
    const { allowAgain, deleteForGood, VERDANT } = await import("@sealog/server/admin")
    const { bytes, count } = await import("../output/format.ts")
    const { confirm } = await import("../output/confirm.ts")
    const by = await attributionOf(flags)
    const libraryId = libraryIdOf(args.libraryId)
    const documentId = flags.document === undefined ? undefined : documentIdOf(flags.document)
    const target = { libraryId, ...(documentId === undefined ? {} : { documentId }) }
    const name = documentId ?? libraryId
    const summarise = (documents: DeleteResult["documents"], done: Partial<DeleteResult>): DeleteResult => {
      const sum = (field: "payloadBytes" | "files" | "fileBytes") => documents.reduce((all, one) => all + one[field], 0)
      const sizes = { payloadBytes: sum("payloadBytes"), files: sum("files"), fileBytes: sum("fileBytes") }
      return { libraryId, dryRun: false, documents, ...sizes, filesDeleted: false, allowedAgain: false, ...done }
    }
    if (flags["allow-again"]) {
      await this.executeOn(flags.database, allowAgain(target, by))
      this.print(`Clients can make ${name} again.`)
      return summarise([], { allowedAgain: true })
    }
    const { provide } = await import("effect/Effect")
    const { existingBlobStoreOf } = await import("../backends/blobStore.ts")
    const store = flags.files === undefined ? undefined : await existingBlobStoreOf(flags.files)
    const describe = ({ documents, fileBytes, files, payloadBytes }: DeleteResult): string => {
      const secsync = documents.filter(({ documentId }) => documentId !== VERDANT).length
      const verdant = secsync < documents.length ? ["Verdant data"] : []
      const names = [...(secsync > 0 ? [count(secsync, "document")] : []), ...verdant].join(" and ")
      const uploaded = files === 0 ? "" : ` and ${count(files, "file")} of ${bytes(fileBytes)}`
      return documents.length === 0 ? "nothing stored" : `${names}, ${bytes(payloadBytes)} of payloads${uploaded}`
    }
    if (flags["dry-run"] || !flags.yes) {
      const planned = await this.executeOn(flags.database, deleteForGood(target, { dryRun: true }))
      const plan = summarise(planned, { dryRun: true })
      if (flags["dry-run"]) {
        this.print(`Would delete ${name} for good: ${describe(plan)}.`)
        return plan
      }
      await confirm(`delete ${name} for good: ${describe(plan)}`, name)
    }
    const deleting = deleteForGood(target, { by })
    const documents = await this.executeOn(flags.database, store === undefined ? deleting : provide(deleting, store))
    const done = summarise(documents, { filesDeleted: store !== undefined })
    this.print(`Deleted ${name} for good: ${describe(done)}.`)
    if (done.files > 0 && !done.filesDeleted)
      this.print(
        "The bytes of the files are still stored. A server deletes them within two days; --files deletes them at once."
      )
    return done
  }
}
