/** Range and conditional request headers (RFC 9110, 13 and 14), as far as one representation with a strong ETag needs them. */

export type RequestedRange =
  | { readonly _tag: "Whole" }
  | { readonly _tag: "Part"; readonly offset: number; readonly length: number }
  | { readonly _tag: "Unsatisfiable" }

/** The range that a Range header requests. A malformed header, or one with several ranges, is ignored, as RFC 9110 allows. */
export const parseRange = (header: string | undefined, size: number): RequestedRange => {
  const [, from = "", to = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(header?.replaceAll(" ", "") ?? "") ?? []
  if (from === "" && to === "") return { _tag: "Whole" }
  const first = from === "" ? Math.max(0, size - Number(to)) : Number(from)
  const last = from === "" || to === "" ? size - 1 : Math.min(Number(to), size - 1)
  if (from !== "" && to !== "" && Number(to) < Number(from)) return { _tag: "Whole" }
  return first > last ? { _tag: "Unsatisfiable" } : { _tag: "Part", offset: first, length: last - first + 1 }
}

/** If-None-Match: whether the client's copy is current. Compares weakly (RFC 9110, 13.1.2). */
export const isCurrent = (header: string | undefined, etag: string): boolean =>
  header !== undefined &&
  (header.trim() === "*" || header.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag))

/**
 * If-Range: whether the response may be partial, because the client has the rest of the same file. Compares strongly. A date
 * never matches, because a file can change twice within a second.
 */
export const mayBePartial = (header: string | undefined, etag: string): boolean =>
  header === undefined || header.trim() === etag
