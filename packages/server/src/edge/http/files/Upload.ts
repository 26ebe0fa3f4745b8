/** `multipart/form-data` with one part, `file`, which goes to the store as it comes. */
import { type Duration, Effect, Stream } from "effect"
import { type HttpServerRequest, Multipart } from "effect/http"
import { type BlobKey, BlobStore, type Stored } from "../../../ports/BlobStore.ts"
import { isAmong, mediaType } from "../../../protocols/verdant/files/FileHeaders.ts"
import { Code, HttpRefusal } from "../HttpRefusal.ts"

export interface UploadLimits {
  readonly maxBytes: number
  readonly types: ReadonlyArray<string> | undefined
  readonly idleTimeout: Duration.Input
}

export interface Upload extends Stored {
  readonly name: string
  readonly type: string
}

/** What a form is longer than its file, at most. */
const FORM_BYTES = 16 * 1024

/** Stores the file; unless all of the form was as it should be, nothing of it is kept. */
export const receiveUpload = Effect.fnUntraced(function* (
  request: HttpServerRequest.HttpServerRequest,
  key: BlobKey,
  { maxBytes, types, idleTimeout }: UploadLimits
) {
  if (!/^multipart\/form-data *;/i.test(request.headers["content-type"] ?? "")) return yield* invalid
  // Before anything is read: a browser says how much will come.
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

  // The form around the file may pause no longer than the file.
  const parts = Stream.timeoutOrElse(request.multipartStream, {
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
const tooLarge = Effect.fail(new HttpRefusal({ code: Code.tooLarge }))
const tooSlow = Effect.fail(new HttpRefusal({ code: Code.tooSlow }))
