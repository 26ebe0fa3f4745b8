/** The URL of a Secsync connection: the document, the token, and the state that the client already has. */
import { Option, Schema } from "effect"
import { DocumentId, SnapshotId } from "../../domain/Ids.ts"
import { type LoadRequest, nothingKnown } from "./DocumentContent.ts"
import { parseKnownClocks } from "./Wire.ts"

export interface Target extends LoadRequest {
  /** undefined: the path is no valid document id. */
  readonly documentId: DocumentId | undefined
  /** "" when the URL has none. */
  readonly token: string
}

const decodeDocumentId = Schema.decodeUnknownOption(DocumentId)
const decodeSnapshotId = Schema.decodeUnknownOption(SnapshotId)

/**
 * Parses `/<documentId>?sessionKey=…&mode=…&knownSnapshotId=…&knownSnapshotUpdateClocks=…`. A missing or malformed
 * parameter gets its default. Returns undefined for a malformed URL.
 */
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
