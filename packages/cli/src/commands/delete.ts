import * as Args from "@oclif/core/args"
import * as Flags from "@oclif/core/flags"
import { BaseCommand } from "../BaseCommand.ts"
import { documentIdOf, libraryIdOf } from "../input/ids.ts"
import { newDocumentFlag, newLibraryFlag } from "../input/newLibrary.ts"
import { attributionOf, operatorFlags } from "../input/operator.ts"
import { targetFlags } from "../input/server.ts"
import { confirm } from "../output/confirm.ts"
import type { Deleted } from "../output/deleted.ts"
import { describeDeleted, filesLeft, sumsOf } from "../output/deleted.ts"

interface DeleteResult extends Deleted {
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
    ...targetFlags,
    ...operatorFlags,
    ...newLibraryFlag,
    ...newDocumentFlag,
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
    const change = {
      by: attributionOf(flags),
      newLibrary: flags["new-library"],
      newDocument: flags["new-document"]
    }
    const libraryId = libraryIdOf(args.libraryId)
    const documentId = flags.document === undefined ? undefined : documentIdOf(flags.document)
    const target = { libraryId, ...(documentId === undefined ? {} : { documentId }) }
    const name = documentId ?? libraryId
    const summarise = (documents: DeleteResult["documents"], done: Partial<DeleteResult>): DeleteResult => ({
      ...{ libraryId, dryRun: false, documents, ...sumsOf(documents), filesDeleted: false, allowedAgain: false },
      ...done
    })
    const describe = (deleted: DeleteResult): string => {
      const isEmpty = deleted.documents.every(({ events }) => events === 0)
      if (!isEmpty) return describeDeleted(deleted)
      return deleted.documents.length === 0 ? "nothing stored" : "nothing stored, only its name is closed"
    }
    if (flags["allow-again"]) {
      await this.administer(flags, ({ allowAgain }) => allowAgain(target, change))
      this.print(`Clients can make ${name} again.`)
      return summarise([], { allowedAgain: true })
    }
    const run = async (dryRun: boolean): Promise<DeleteResult> => {
      const { documents, filesDeleted } = await this.administer(flags, (administration) =>
        administration.delete(target, { ...change, dryRun })
      )
      return summarise(documents, { dryRun, filesDeleted })
    }
    if (flags["dry-run"] || !flags.yes) {
      const plan = await run(true)
      if (flags["dry-run"]) {
        this.print(`Would delete ${name} for good: ${describe(plan)}.`)
        return plan
      }
      await confirm(`delete ${name} for good: ${describe(plan)}`, name)
    }
    const done = await run(false)
    this.print(`Deleted ${name} for good: ${describe(done)}.`)
    const left = filesLeft(done)
    if (left !== undefined) this.print(left)
    return done
  }
}
