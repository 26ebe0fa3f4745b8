/** Lines about backups, for people. */
import type { MissingFile, VerifyReport } from "@sealog/server/admin"
import { count, time } from "./format.ts"

/** Names the files that are missing, and counts them. */
export const printMissing = (
  print: (text: string) => void,
  { filesMissing, missingFiles }: { readonly filesMissing: number; readonly missingFiles: ReadonlyArray<MissingFile> }
): void => {
  if (filesMissing === 0) return
  for (const { blob, detail, fileId, libraryId } of missingFiles) {
    print(`${libraryId} file ${fileId} (${blob}): file-missing: ${detail}`)
  }
  print(`${count(filesMissing, "file")} missing.`)
}

/** Prints the result of a verification. Returns whether nothing is wrong. */
export const printVerified = (print: (text: string) => void, report: VerifyReport): boolean => {
  for (const { detail, part } of report.damagedParts) print(`${part}: ${detail}`)
  for (const { libraryId, streamId, version, problem, detail } of report.problems) {
    print(`${libraryId}/${streamId} version ${version}: ${problem}: ${detail}`)
  }
  printMissing(print, report)
  const { damagedParts, events, files, filesMissing, number, problemCount, startedAt, streams } = report
  const isSound = damagedParts.length === 0 && problemCount === 0 && filesMissing === 0
  const held = `${count(events, "event")} in ${count(streams, "stream")}, ${count(files, "file")}`
  const found = [count(damagedParts.length, "damaged part"), count(problemCount, "problem")]
  const verdict = isSound ? "all as written" : `${found.join(", ")}, ${count(filesMissing, "missing file")}`
  print(`Backup ${number} of ${time(startedAt)} UTC: ${held}: ${verdict}.`)
  return isSound
}
