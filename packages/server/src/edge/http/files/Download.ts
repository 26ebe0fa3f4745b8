/** A file's bytes, whole or in part, with what keeps a browser from taking them for anything but a file. */
import { Effect, Stream } from "effect"
import { type HttpServerRequest, HttpServerResponse } from "effect/http"
import { BlobStore } from "../../../ports/BlobStore.ts"
import type { FileRecord } from "../../../protocols/verdant/files/FileCatalog.ts"
import { contentDisposition, servedAs } from "../../../protocols/verdant/files/FileHeaders.ts"
import { Code, type HttpRefusal } from "../HttpRefusal.ts"
import { fits, hasAlready, parseRange } from "./Range.ts"

/** undefined: the bytes are not there. `ended` cuts the download off. */
export const sendFile = Effect.fnUntraced(function* (
  { method, headers: asked }: HttpServerRequest.HttpServerRequest,
  file: FileRecord,
  ended: Effect.Effect<never, HttpRefusal>
) {
  const store = yield* BlobStore
  const etag = `"${file.hash}"`
  // A file can be replaced under its id, so a copy is asked about before it is used.
  const caching = { etag, "cache-control": "private, no-cache" }
  if (hasAlready(asked["if-none-match"], etag)) return HttpServerResponse.empty({ status: 304, headers: caching })

  const range = fits(asked["if-range"], etag) ? parseRange(asked["range"], file.size) : ({ _tag: "Whole" } as const)
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
    // Apps of other origins show it, which an isolated page may do only if it is allowed.
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
