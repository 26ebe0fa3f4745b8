/** Errors for names that the log does not hold. */
import { CliFailure } from "./CliFailure.ts"

export const noSuchLibrary = (libraryId: string): CliFailure =>
  new CliFailure({
    code: "NO_SUCH_LIBRARY",
    message: `The log has no library ${libraryId}.`,
    exitCode: 1,
    tryThis: "sync-admin library list, with the same --database"
  })

export const noSuchDocument = (libraryId: string, documentId: string, tryThis: string): CliFailure =>
  new CliFailure({
    code: "NO_SUCH_DOCUMENT",
    message: `The library ${libraryId} has no document ${documentId}.`,
    exitCode: 1,
    tryThis
  })
