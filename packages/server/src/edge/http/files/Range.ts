/** Conditional and partial requests (RFC 9110, 13 and 14), as far as one representation with a strong tag needs them. */

export type Wanted =
  | { readonly _tag: "Whole" }
  | { readonly _tag: "Part"; readonly offset: number; readonly length: number }
  | { readonly _tag: "Unsatisfiable" }

/** What a Range header asks for; one that is malformed or asks for several ranges is ignored, as is allowed. */
export const parseRange = (header: string | undefined, size: number): Wanted => {
  const [, from = "", to = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(header?.replaceAll(" ", "") ?? "") ?? []
  if (from === "" && to === "") return { _tag: "Whole" }
  const first = from === "" ? Math.max(0, size - Number(to)) : Number(from)
  const last = from === "" || to === "" ? size - 1 : Math.min(Number(to), size - 1)
  if (from !== "" && to !== "" && Number(to) < Number(from)) return { _tag: "Whole" }
  return first > last ? { _tag: "Unsatisfiable" } : { _tag: "Part", offset: first, length: last - first + 1 }
}

/** If-None-Match: whether the client has it already. */
export const hasAlready = (header: string | undefined, etag: string): boolean =>
  header !== undefined &&
  (header.trim() === "*" || header.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag))

/** If-Range: whether a part would fit what the client has. A date cannot be told from another within its second. */
export const fits = (header: string | undefined, etag: string): boolean =>
  header === undefined || header.trim() === etag
