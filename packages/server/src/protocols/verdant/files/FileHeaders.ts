/** Makes an upload's name and media type, which the client chose, safe to show and to send in response headers. */

const MAX_CHARACTERS = 200
const KEPT_AT_THE_END = 20

/** Characters that show nothing, and reorder or hide the others. The joiners stay: emoji and some scripts are written with them. */
const INVISIBLE = /[\p{Cc}\p{Co}\p{Zl}\p{Zp}]|(?![\u200C\u200D])\p{Cf}/gu

/**
 * The name without folders, control characters and invisible characters. At most 200 characters: a
 * longer name is cut in the middle, to keep its extension. "file" when nothing is left.
 */
export const displayName = (name: string): string => {
  const visible = name.toWellFormed().replace(INVISIBLE, "")
  const characters = Array.from(visible.split(/[/\\]/).at(-1)!.trim())
  const short =
    characters.length <= MAX_CHARACTERS
      ? characters
      : [...characters.slice(0, MAX_CHARACTERS - KEPT_AT_THE_END), ...characters.slice(-KEPT_AT_THE_END)]
  const result = short.join("")
  return /^\.*$/.test(result) ? "file" : result
}

export const UNKNOWN_TYPE = "application/octet-stream"

/** The media type without its parameters, in lower case; `application/octet-stream` when it is malformed. */
export const mediaType = (type: string): string => {
  const essence = type.split(";")[0]!.trim().toLowerCase()
  return /^[a-z0-9][a-z0-9!#$&^_.+-]{0,62}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}$/.test(essence) ? essence : UNKNOWN_TYPE
}

/** Whether a media type matches one of the patterns, such as `image/png` or `image/*`. */
export const isAmong = (type: string, allowed: ReadonlyArray<string>): boolean =>
  allowed.some((pattern) => pattern === type || (pattern.endsWith("/*") && type.startsWith(pattern.slice(0, -1))))

/** Types that a browser shows without running anything. */
const SHOWN = [
  ...["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp"],
  ...["audio/*", "video/*", "text/plain"]
]
/** Types that are safe in an `<img>`, where scripts do not run, but that are saved when opened by themselves. */
const EMBEDDED = ["image/svg+xml"]

/** How a file is served. Any type that is not known to be harmless is saved as bytes: the server may share the app's origin. */
export const servedAs = (type: string): { readonly type: string; readonly disposition: "inline" | "attachment" } => {
  if (isAmong(type, SHOWN)) return { type, disposition: "inline" }
  return { type: isAmong(type, EMBEDDED) ? type : UNKNOWN_TYPE, disposition: "attachment" }
}

/** The `Content-Disposition` header (RFC 6266), with the name in ASCII for all clients and in UTF-8 (RFC 8187). */
export const contentDisposition = (disposition: "inline" | "attachment", name: string): string => {
  const ascii = name.replace(/[^\x20-\x7e]|["\\%]/gu, "_")
  const encoded = encodeURIComponent(name).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
  return `${disposition}; filename="${ascii}"; filename*=UTF-8''${encoded}`
}
