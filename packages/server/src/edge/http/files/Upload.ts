/** Receives an upload, `multipart/form-data` with the single part `file`, and streams it into the file store. */
import { type Duration, Effect, Stream } from "effect"
import { type HttpServerRequest, Multipart } from "effect/http"
import { type BlobKey, BlobStore, type Stored } from "../../../ports/BlobStore.ts"
import { isAmong, mediaType } from "../../../protocols/verdant/files/FileHeaders.ts"
import { Code, HttpRefusal } from "../HttpRefusal.ts"

export interface UploadLimits {
  /** For the file, without the form around it. */
  readonly maxBytes: number
  /** The code for a larger one. Default: 4130. */
  readonly tooLarge?: number
  /** Accepted media types; undefined: all. */
  readonly types: ReadonlyArray<string> | undefined
  /** The longest pause between two chunks. */
  readonly idleTimeout: Duration.Input
}

export interface Upload extends Stored {
  readonly name: string
  readonly type: string
}

/** Bytes that a form may add to its file. */
const FORM_BYTES = 16 * 1024

/** Stores the file under `key`, and returns its name, type, size and hash. Keeps nothing unless the whole form is valid. */
export const receiveUpload = Effect.fnUntraced(function* (
  request: HttpServerRequest.HttpServerRequest,
  key: BlobKey,
  { maxBytes, tooLarge: code = Code.tooLarge, types, idleTimeout }: UploadLimits
) {
  const tooLarge = Effect.fail(new HttpRefusal({ code }))
  if (!/^multipart\/form-data *;/i.test(request.headers["content-type"] ?? "")) return yield* invalid
  // Refuse before reading the body: a browser sends its length.
  if (Number(request.headers["content-length"] ?? 0) > maxBytes + FORM_BYTES) return yield* tooLarge
  const store = yield* BlobStore
  let upload: Upload | undefined

  const receive = Effect.fnUntraced(function* (part: Multipart.Part) {
    if (upload !== undefined || part.key !== "file" || !Multipart.isFile(part)) return yield* invalid
    const type = mediaType(part.contentType)
    if (types !== undefined && !isAmong(type, types)) return yield* new HttpRefusal({ code: Code.typeRefused })
    const bytes = Stream.timeoutOrElse(part.content, {
      duration: idleTimeout,
      orElse: () => Stream.fromEffect(tooSlow)
    })
    const stored = yield* store.put(key, bytes, maxBytes)
    upload = { ...stored, name: part.name, type }
  })

  // The parser throws, instead of failing, on a part whose headers never end.
  const wellFormed = Stream.catchDefect(request.multipartStream, () => Stream.fromEffect(invalid))
  // The form around the file must not pause longer either.
  const parts = Stream.timeoutOrElse(wellFormed, {
    duration: idleTimeout,
    orElse: () => Stream.fromEffect(tooSlow)
  })
  yield* Stream.runForEach(parts, receive).pipe(
    Effect.provideContext(
      Multipart.limitsServices({ maxParts: 1, maxFieldSize: FORM_BYTES, maxTotalSize: maxBytes + FORM_BYTES })
    ),
    Effect.catchTags({
      MultipartError: ({ reason }) => (reason._tag === "BodyTooLarge" ? tooLarge : invalid),
      BlobTooLarge: () => tooLarge
    }),
    Effect.onError(() => (upload === undefined ? Effect.void : Effect.ignore(store.delete(key))))
  )
  return upload === undefined ? yield* invalid : (upload satisfies Upload)
})

const invalid = Effect.fail(new HttpRefusal({ code: Code.invalidRequest }))
const tooSlow = Effect.fail(new HttpRefusal({ code: Code.tooSlow }))
