import * as Args from "@oclif/core/args"
import * as Flags from "@oclif/core/flags"
import type { ImportedDocument } from "@sealog/server/admin"
import { importSecsync, Signatures } from "@sealog/server/admin"
import * as Effect from "effect/Effect"
import { BaseCommand } from "../../BaseCommand.ts"
import { secsyncUrlOf, withSecsyncTables } from "../../backends/secsyncDatabase.ts"
import { libraryIdOf } from "../../input/ids.ts"
import { CliFailure } from "../../output/CliFailure.ts"
import { count } from "../../output/format.ts"

interface ImportSecsyncResult {
  readonly libraryId: string
  readonly dryRun: boolean
  readonly documents: ReadonlyArray<ImportedDocument>
}

export default class ImportSecsync extends BaseCommand<ImportSecsyncResult> {
  static override summary = "Import the documents of a secsync-server from its Postgres database."
  static override description =
    `Stop the secsync-server first. Its database, with the Prisma schema of the setup guide, is only read. Use --dry-run to check it.

Each document goes into --library, with the proofs of its snapshots, and its clients continue where they are. Every signature, clock and parent proof is checked. Superseded snapshots and updates keep their events; their sealed bytes stay in the old database. A document that is there already is left alone, so you can run the command again.

Exit code 1 if a document was already there or was refused, or if older snapshots were left out because the way from them is damaged.`
  static override examples = [
    "<%= config.bin %> import secsync postgres://prisma@localhost/prisma --library notes --dry-run",
    "<%= config.bin %> import secsync env:OLD_DATABASE_URL --library notes"
  ]
  static override args = {
    url: Args.string({
      description: "database of the secsync-server: postgres://…, or env:NAME to read the URL from a variable",
      required: true
    })
  }
  static override flags = {
    library: Flags.string({ description: "library that the documents go into", required: true }),
    document: Flags.string({ description: "import only this document" }),
    "dry-run": Flags.boolean({ description: "read and check everything, and write nothing", default: false })
  }

  async run(): Promise<ImportSecsyncResult> {
    const { args, flags } = await this.parse(ImportSecsync)
    const libraryId = libraryIdOf(flags.library)
    const url = secsyncUrlOf(args.url)
    const dryRun = flags["dry-run"]
    const options = { libraryId, dryRun, ...(flags.document === undefined ? {} : { documentId: flags.document }) }
    const importing = withSecsyncTables(url, (tables) => importSecsync(tables, options)).pipe(
      Effect.catchTag("SecsyncUnreadable", ({ detail }) =>
        Effect.fail(
          new CliFailure({
            code: "SECSYNC_UNREADABLE",
            message: detail,
            exitCode: 1,
            tryThis: "the DATABASE_URL of the secsync-server, whose tables are Document, Snapshot and Update"
          })
        )
      ),
      Effect.provide(Signatures.layerBatch)
    )
    const documents = await this.executeOn(flags.database, importing)
    for (const document of documents) this.print(`${document.documentId}: ${describe(document, count)}`)
    const imported = documents.filter(({ outcome }) => outcome === "imported" || outcome === "empty").length
    this.print(`${dryRun ? "Would import" : "Imported"} ${imported} of ${count(documents.length, "document")}.`)
    const isWhole = ({ leftOut, outcome }: ImportedDocument) =>
      leftOut === 0 && (outcome === "imported" || outcome === "empty")
    if (!documents.every(isWhole)) process.exitCode = 1
    return { libraryId, dryRun, documents }
  }
}

const describe = (
  { detail, leftOut, outcome, snapshots, updates }: ImportedDocument,
  count: (value: number, noun: string) => string
): string => {
  if (outcome !== "imported") return `${outcome}${detail === null ? "" : `: ${detail}`}`
  const left = leftOut === 0 ? "" : `; left out ${count(leftOut, "older snapshot")}`
  return `${count(snapshots, "snapshot")}, ${count(updates, "update")}${left}`
}
