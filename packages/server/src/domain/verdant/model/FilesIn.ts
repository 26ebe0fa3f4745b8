/** The files that an entity or a patch refers to itself. */
import { Schema } from "effect"
import { FileId } from "../../Ids.ts"
import { allAtOnce, type Steps } from "../../Steps.ts"
import { isRef } from "./Patch.ts"

/** The text in every reference to a file, in JSON as clients and this server write it. */
const MARK = '"@@type":"file"'

/** Values that are looked at in one step: some tenths of a millisecond. */
const STEP = 4096

const isFileId = Schema.is(FileId)

const none: ReadonlyArray<FileId> = []

/**
 * Each file once. `text`: JSON that contains the value. A reference with an id that no stored file can have is left out.
 */
export const filesIn = (value: unknown, text: string): ReadonlyArray<FileId> => allAtOnce(foundFiles(value, text))

/** The same in steps. */
export const foundFiles = function* (value: unknown, text: string): Steps<ReadonlyArray<FileId>> {
  if (!text.includes(MARK)) return none
  const found = new Set<FileId>()
  const waiting: Array<unknown> = [value]
  for (let seen = 1; waiting.length > 0; seen++) {
    const next = waiting.pop()
    if (seen % STEP === 0) yield
    if (typeof next !== "object" || next === null) continue
    if (!isRef(next)) for (const inner of Object.values(next)) waiting.push(inner)
    else if (next["@@type"] === "file" && isFileId(next.id)) found.add(next.id)
  }
  return found.size === 0 ? none : Array.from(found)
}
