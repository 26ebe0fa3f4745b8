/** What uploads call themselves, made harmless: names to be shown, types to be declared. */

const MAX_CHARACTERS = 200
const KEPT_AT_THE_END = 20

/** A name without folders, and without characters that cannot be seen or turn the writing direction around. */
export const displayName = (name: string): string => {
  const visible = name.toWellFormed().replace(/[\p{Cc}\p{Co}\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu, "")
  const characters = Array.from(visible.split(/[/\\]/).at(-1)!.trim())
  const short =
    characters.length <= MAX_CHARACTERS
      ? characters
      : [...characters.slice(0, MAX_CHARACTERS - KEPT_AT_THE_END), ...characters.slice(-KEPT_AT_THE_END)]
  const result = short.join("")
  return /^\.*$/.test(result) ? "file" : result
}

export const UNKNOWN_TYPE = "application/octet-stream"

/** A media type without parameters. */
export const mediaType = (type: string): string => {
  const essence = type.split(";")[0]!.trim().toLowerCase()
  return /^[a-z0-9][a-z0-9!#$&^_.+-]{0,62}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}$/.test(essence) ? essence : UNKNOWN_TYPE
}

/** Whether a type is among `image/png`, `image/*`, … */
export const isAmong = (type: string, allowed: ReadonlyArray<string>): boolean =>
  allowed.some((pattern) => pattern === type || (pattern.endsWith("/*") && type.startsWith(pattern.slice(0, -1))))

/** Shown by a browser without running anything. */
const SHOWN = [
  ...["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp"],
  ...["audio/*", "video/*", "text/plain"]
]
/** Good in an `<img>`, where its scripts do not run, and to be saved when it is opened by itself. */
const EMBEDDED = ["image/svg+xml"]

/** Whatever is not known to be harmless is bytes to be saved: our origin may be the app's own. */
export const servedAs = (type: string): { readonly type: string; readonly disposition: "inline" | "attachment" } => {
  if (isAmong(type, SHOWN)) return { type, disposition: "inline" }
  return { type: isAmong(type, EMBEDDED) ? type : UNKNOWN_TYPE, disposition: "attachment" }
}

/** RFC 6266: for all clients in ASCII, and as it is (RFC 8187). */
export const contentDisposition = (disposition: "inline" | "attachment", name: string): string => {
  const ascii = name.replace(/[^\x20-\x7e]|["\\%]/gu, "_")
  const encoded = encodeURIComponent(name).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
  return `${disposition}; filename="${ascii}"; filename*=UTF-8''${encoded}`
}
