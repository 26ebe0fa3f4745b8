/** Which requests belong together: those of a document, and those of a library's Verdant data. */
import { bearerOf } from "../edge/http/BearerToken.ts"
import { parseTarget } from "../protocols/secsync/ConnectionUrl.ts"
import { isVerdantPath, VERDANT_PATH } from "../protocols/verdant/ConnectionUrl.ts"
import type { RequestHead } from "./RequestHead.ts"

/**
 * Returns the key by which a worker is chosen; undefined: any worker will do. Nothing is verified here. A client that lies
 * reaches another worker, which serves it as well.
 */
export const routeKeyOf = ({ header, url }: RequestHead, documentPath: string): string | undefined => {
  if (isVerdantPath(url) || url.startsWith(`${VERDANT_PATH}/`)) {
    const library = libraryOf(bearerOf(header("authorization"), header("sec-websocket-protocol")))
    return library === undefined ? undefined : `library ${library}`
  }
  if (header("upgrade") === undefined) return undefined
  const documentId = parseTarget(url, documentPath)?.documentId
  return documentId === undefined ? undefined : `document ${documentId}`
}

/** The library that a token names, without a look at its signature. */
const libraryOf = (token = ""): string | undefined => {
  const [, claims = ""] = token.split(".", 2)
  try {
    const { lib } = JSON.parse(Buffer.from(claims, "base64url").toString()) ?? {}
    return typeof lib === "string" && lib !== "" ? lib : undefined
  } catch {
    return undefined
  }
}
