/** The result of the commands that delete payloads, and its text: `evict` and `delete`. */
import { VERDANT } from "@sealog/server/admin"
import { bytes, count } from "./format.ts"

export interface DeletedDocument {
  readonly documentId: string
  readonly events: number
  readonly payloadBytes: number
  readonly files: number
  readonly fileBytes: number
}

export interface Deleted {
  readonly libraryId: string
  readonly dryRun: boolean
  readonly documents: ReadonlyArray<DeletedDocument>
  /** Bytes of deleted payloads. */
  readonly payloadBytes: number
  /** Files uploaded by Verdant clients. */
  readonly files: number
  readonly fileBytes: number
  /** True if this command deleted the files' bytes; false if servers will delete them. */
  readonly filesDeleted: boolean
}

/** The sums over what was deleted, or would be. */
export const sumsOf = (documents: ReadonlyArray<DeletedDocument>) => {
  const sum = (field: "payloadBytes" | "files" | "fileBytes") => documents.reduce((all, one) => all + one[field], 0)
  return { payloadBytes: sum("payloadBytes"), files: sum("files"), fileBytes: sum("fileBytes") }
}

/** "2 documents and Verdant data"; "nothing" without any. */
export const namesOf = (documents: ReadonlyArray<DeletedDocument>): string => {
  const secsync = documents.filter(({ documentId }) => documentId !== VERDANT).length
  const verdant = secsync < documents.length ? ["Verdant data"] : []
  return [...(secsync > 0 ? [count(secsync, "document")] : []), ...verdant].join(" and ") || "nothing"
}

/** " and 3 files of 2 MB"; "" without any. */
export const filesOf = ({ fileBytes, files }: Deleted): string =>
  files === 0 ? "" : ` and ${count(files, "file")} of ${bytes(fileBytes)}`

/** "2 documents, 3 MB of payloads and 3 files of 2 MB". */
export const describeDeleted = (deleted: Deleted): string =>
  `${namesOf(deleted.documents)}, ${bytes(deleted.payloadBytes)} of payloads${filesOf(deleted)}`

/** A sentence about files whose bytes are left; undefined without any. */
export const filesLeft = ({ files, filesDeleted }: Deleted): string | undefined =>
  files === 0 || filesDeleted
    ? undefined
    : "The bytes of the files are still stored. A server deletes them within two days; --files deletes them at once."
