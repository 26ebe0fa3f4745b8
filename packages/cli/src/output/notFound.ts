/** Errors for names that the log does not hold. */
import { CliFailure } from "./CliFailure.ts"
import { shellWord } from "./shellWord.ts"

/** `where`: the flag that names the log. */
export const noSuchLibrary = (libraryId: string, where: "--database" | "--server" = "--database"): CliFailure =>
  new CliFailure({
    code: "NO_SUCH_LIBRARY",
    message: `The log has no library ${libraryId}.`,
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
