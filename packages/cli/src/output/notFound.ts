/** Errors for names that the log does not hold. */
import { CliFailure } from "./CliFailure.ts"
import { shellWord } from "./shellWord.ts"

/** `where`: the flag that names the log. */
export const noSuchLibrary = (libraryId: string, where: "--database" | "--server" = "--database"): CliFailure =>
  missingLibrary(`The log has no library ${libraryId}.`, where)

export const missingLibrary = (message: string, where: "--database" | "--server"): CliFailure =>
  new CliFailure({
    code: "NO_SUCH_LIBRARY",
    message,
    exitCode: 1,
    tryThis: `sync-admin library list, with the same ${where}`
  })

export const noSuchDocument = (
  libraryId: string,
  documentId: string,
  tryThis = `sync-admin document list ${shellWord(libraryId)}`
): CliFailure =>
  new CliFailure({
    code: "NO_SUCH_DOCUMENT",
    message: `The library ${libraryId} has no document ${documentId}.`,
    exitCode: 1,
    tryThis
  })

export const noSuchWebhook = (id: string): CliFailure =>
  new CliFailure({
    code: "NO_SUCH_WEBHOOK",
    message: `The log has no webhook ${id}.`,
    exitCode: 1,
    tryThis: "sync-admin webhook list"
  })
