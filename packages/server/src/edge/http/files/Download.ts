/** Sends a file's bytes, whole or in part, with headers that keep a browser from running them. */
import { Effect, Stream } from "effect"
import { type HttpServerRequest, HttpServerResponse } from "effect/http"
import { BlobStore } from "../../../ports/BlobStore.ts"
import type { FileRecord } from "../../../protocols/verdant/files/FileCatalog.ts"
import { contentDisposition, servedAs } from "../../../protocols/verdant/files/FileHeaders.ts"
import { Code, type HttpRefusal } from "../HttpRefusal.ts"
import { isCurrent, mayBePartial, parseRange } from "./Range.ts"

/** The response to a GET or HEAD for a file; undefined when the store lacks its bytes. `ended` cuts the download off. */
export const sendFile = Effect.fnUntraced(function* (
  { method, headers: requested }: HttpServerRequest.HttpServerRequest,
  file: FileRecord,
  ended: Effect.Effect<never, HttpRefusal>
) {
  const store = yield* BlobStore
  const etag = `"${file.hash}"`
  // A file can be replaced under its id, so caches must revalidate their copy.
  const caching = { etag, "cache-control": "private, no-cache" }
  if (isCurrent(requested["if-none-match"], etag)) return HttpServerResponse.empty({ status: 304, headers: caching })

  const range = mayBePartial(requested["if-range"], etag)
    ? parseRange(requested["range"], file.size)
    : ({ _tag: "Whole" } as const)
  if (range._tag === "Unsatisfiable") {
    const refused = HttpServerResponse.jsonUnsafe({ code: Code.rangeNotSatisfiable }, { status: 416 })
    return HttpServerResponse.setHeader(refused, "content-range", `bytes */${file.size}`)
  }
  const { type, disposition } = servedAs(file.type)
  const [status, length] = range._tag === "Part" ? [206, range.length] : [200, file.size]
  const headers = {
    ...caching,
    "accept-ranges": "bytes",
    "content-disposition": contentDisposition(disposition, file.name),
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox; default-src 'none'",
    // Without this, a cross-origin isolated page of an app could not show the file.
    "cross-origin-resource-policy": "cross-origin",
    "referrer-policy": "no-referrer",
    ...(range._tag === "Part"
      ? { "content-range": `bytes ${range.offset}-${range.offset + range.length - 1}/${file.size}` }
      : {})
  }
  const blob =
    method === "HEAD" || length === 0
      ? yield* Effect.map(store.stat(file.blob), (found) => found && { bytes: Stream.empty })
      : yield* store.get(file.blob, range._tag === "Part" ? range : undefined)
  if (blob === undefined) return undefined
  return HttpServerResponse.stream(Stream.interruptWhen(blob.bytes, ended), {
    status,
    headers,
    contentType: type,
    contentLength: length
  })
})
