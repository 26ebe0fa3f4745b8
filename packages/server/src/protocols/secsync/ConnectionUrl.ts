/** The URL of a Secsync connection: the document, the token, and the state that the client already has. */
import { Option, Schema } from "effect"
import { DocumentId, decodeDocumentId, SnapshotId } from "../../domain/Ids.ts"
import { parseQuery } from "../../internal/parseQuery.ts"
import { type LoadRequest, nothingKnown } from "./DocumentContent.ts"
import { parseKnownClocks } from "./Wire.ts"

export interface Target extends LoadRequest {
  /** The path, decoded, without the server's own part of it. */
  readonly name: string
  /** undefined: the name is no valid document id. */
  readonly documentId: DocumentId | undefined
  /** "" when the URL has none. */
  readonly token: string
}

const decodeId = Schema.decodeUnknownOption(DocumentId)
const decodeSnapshotId = Schema.decodeUnknownOption(SnapshotId)

/** The path under which documents are served, as `parseTarget` takes it: "" or `/name`, without a slash at its end. */
export const documentPathOf = (path: string): string => {
  const trimmed = path.replace(/^\/+|\/+$/g, "")
  return trimmed === "" ? "" : `/${decodeDocumentId(trimmed)}`
}

/**
 * Parses `<documentPath>/<documentId>?sessionKey=…&mode=…&knownSnapshotId=…&knownSnapshotUpdateClocks=…`. A missing or
 * malformed parameter gets its default. The client puts the id into the URL as it is, behind the endpoint and a slash: so the
 * path is not normalised, and an endpoint that ends with a slash makes two of them. Returns undefined for a target that is no path.
 */
export const parseTarget = (url: string, documentPath = ""): Target | undefined => {
  if (!url.startsWith("/")) return undefined
  const end = url.search(/[?#]/)
  const path = decodeDocumentId(end === -1 ? url : url.slice(0, end))
  const query = parseQuery(end === -1 ? "" : url.slice(end + 1))
  const name = path.startsWith(`${documentPath}/`) ? path.slice(documentPath.length).replace(/^\/+/, "") : undefined
  const snapshotId = Option.getOrUndefined(decodeSnapshotId(query.get("knownSnapshotId")))
  return {
    name: name ?? path,
    documentId: Option.getOrUndefined(decodeId(name)),
    token: query.get("sessionKey") ?? "",
    mode: query.get("mode") === "delta" ? "delta" : "complete",
    known:
      snapshotId === undefined
        ? nothingKnown
        : { snapshotId, clocks: parseKnownClocks(query.get("knownSnapshotUpdateClocks")) }
  }
}
