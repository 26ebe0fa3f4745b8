import * as Args from "@oclif/core/args"
import { BaseCommand } from "../../BaseCommand.ts"
import { documentIdOf, libraryIdOf } from "../../input/ids.ts"
import { newLibraryFlag } from "../../input/newLibrary.ts"
import { targetFlags } from "../../input/server.ts"
import { CliFailure } from "../../output/CliFailure.ts"
import { shellWord } from "../../output/shellWord.ts"

interface DocumentCreateResult {
  readonly libraryId: string
  readonly documentId: string
  /** False if the document was there before. */
  readonly created: boolean
}

export default class DocumentCreate extends BaseCommand<DocumentCreateResult> {
  static override summary = "Make an empty Secsync document."
  static override description =
    `Servers with --no-create-documents serve only documents that were made: by this command, or by the app's own endpoint. Other servers make a document when a client sends its first snapshot.`
  static override examples = [
    "<%= config.bin %> document create notes welcome",
    "<%= config.bin %> document create notes welcome --new-library"
  ]
  static override args = {
    libraryId: Args.string({ description: "name of the library", required: true }),
    documentId: Args.string({ description: "name of the document", required: true })
  }

  static override flags = { ...targetFlags, ...newLibraryFlag }

  async run(): Promise<DocumentCreateResult> {
    const { args, flags } = await this.parse(DocumentCreate)
    const [libraryId, documentId] = [libraryIdOf(args.libraryId), documentIdOf(args.documentId)]
    const outcome = await this.administer(flags, ({ createDocument }) =>
      createDocument(libraryId, documentId, { newLibrary: flags["new-library"] })
    )
    if (outcome === "deleted") {
      throw new CliFailure({
        code: "DOCUMENT_DELETED",
        message: `The document ${documentId} of ${libraryId} was deleted for good.`,
        exitCode: 1,
        tryThis: `sync-admin delete ${shellWord(libraryId)} --document ${shellWord(documentId)} --allow-again`
      })
    }
    const created = outcome === "created"
    this.print(created ? `Created ${documentId} in ${libraryId}.` : `${documentId} was in ${libraryId} before.`)
    return { libraryId, documentId, created }
  }
}
