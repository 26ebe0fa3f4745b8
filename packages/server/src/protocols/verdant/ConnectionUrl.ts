/** The URL path at which Verdant clients are served. */
import { parseQuery } from "../../internal/parseQuery.ts"

/** The path of WebSockets and polls; the paths of files begin with it. */
export const VERDANT_PATH = "/verdant"

/** Whether a URL is a Verdant client's. A Secsync document may have the same name; its clients send a session key. */
export const isVerdantPath = (url: string): boolean => {
  const query = url.indexOf("?")
  const path = query === -1 ? url : url.slice(0, query)
  return path === VERDANT_PATH && !(query !== -1 && parseQuery(url.slice(query)).has("sessionKey"))
}
