/** The URL of a Secsync connection: the document, its token, and the state the client already holds. */
import { Option, Schema } from "effect"
import { DocumentId, SnapshotId } from "../../domain/Ids.ts"
import { nothingKnown } from "./DocumentContent.ts"
import type { SessionRequest } from "./Session.ts"
import { parseKnownClocks } from "./Wire.ts"

export interface Target {
  /** undefined: the path names nothing that can be a document. */
  readonly documentId: DocumentId | undefined
  readonly token: string
  readonly mode: "complete" | "delta"
  readonly known: SessionRequest["known"]
}

const decodeDocumentId = Schema.decodeUnknownOption(DocumentId)
const decodeSnapshotId = Schema.decodeUnknownOption(SnapshotId)

/** `/<documentId>?sessionKey=…&mode=…&knownSnapshotId=…&knownSnapshotUpdateClocks=…` */
export const parseTarget = (url: string): Target | undefined => {
  let path: string
  let query: URLSearchParams
  try {
    const parsed = new URL(url, "ws://server")
    path = decodeURIComponent(parsed.pathname.slice(1))
    query = parsed.searchParams
  } catch {
    return undefined
  }
  const snapshotId = Option.getOrUndefined(decodeSnapshotId(query.get("knownSnapshotId")))
  return {
    documentId: Option.getOrUndefined(decodeDocumentId(path)),
    token: query.get("sessionKey") ?? "",
    mode: query.get("mode") === "delta" ? "delta" : "complete",
    known:
      snapshotId === undefined
        ? nothingKnown
        : { snapshotId, clocks: parseKnownClocks(query.get("knownSnapshotUpdateClocks")) }
  }
}
