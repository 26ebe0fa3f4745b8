/** The URL path at which Verdant clients are served. */

/** Where Verdant clients are served, by WebSocket and by HTTP; files are below it. */
export const VERDANT_PATH = "/verdant"

/** A Secsync document of that name is still one: its clients have a session key. */
export const isVerdantPath = (url: string): boolean => {
  const query = url.indexOf("?")
  const path = query === -1 ? url : url.slice(0, query)
  return path === VERDANT_PATH && !(query !== -1 && new URLSearchParams(url.slice(query)).has("sessionKey"))
}
