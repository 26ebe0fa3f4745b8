/**
 * Files over HTTP, under Verdant's path: the upload and the information that Verdant's clients use, and the download that the
 * information links to. A download needs a token, or the link's own signature.
 */
import { Effect, Layer, Schema, Semaphore } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { FileId, type LibraryId } from "../../../domain/Ids.ts"
import { parseQuery } from "../../../internal/parseQuery.ts"
import { Access, type Grant, ReplicaType } from "../../../ports/Access.ts"
import { VERDANT_PATH } from "../../../protocols/verdant/ConnectionUrl.ts"
import { newBlobKey } from "../../../protocols/verdant/files/BlobKeys.ts"
import { type FileRecord, VerdantFiles } from "../../../protocols/verdant/files/FileCatalog.ts"
import { displayName } from "../../../protocols/verdant/files/FileHeaders.ts"
import { FileLinks, type LinkRefused } from "../../../protocols/verdant/files/FileLinks.ts"
import { defaultFileOptions, type FileOptions } from "../../../protocols/verdant/files/FileOptions.ts"
import { urlOfFile } from "../../../protocols/verdant/files/FileUrls.ts"
import { recordUpload } from "../../../protocols/verdant/files/RecordUpload.ts"
import { admitClient, admitGrant, hasToken } from "../Authentication.ts"
import { Code, HttpRefusal, refusal } from "../HttpRefusal.ts"
import { requireAccess, requireLastingAccess } from "../RequireAccess.ts"
import { everyOrigin, verdantResponse } from "../VerdantResponse.ts"
import { sendFile } from "./Download.ts"
import { receiveUpload } from "./Upload.ts"

/** `POST` and `GET /verdant/files/:fileId`, and `GET /verdant/files/:fileId/content`. */
export const FileRoutes = (given?: Partial<FileOptions>) => {
  const options: FileOptions = { ...defaultFileOptions, ...given }
  const path = `${VERDANT_PATH}/files/:fileId` as const
  const uploads = Semaphore.makeUnsafe(options.maxUploads)
  const edge = verdantResponse(everyOrigin)
  return Layer.mergeAll(
    HttpRouter.add("POST", path, edge(upload(options, uploads))),
    HttpRouter.add("GET", path, edge(information(options))),
    HttpRouter.add("GET", `${path}/content`, edge(download)),
    HttpRouter.add("OPTIONS", path, edge(Effect.never)),
    HttpRouter.add("OPTIONS", `${path}/content`, edge(Effect.never))
  )
}

/** The same routes for a server without a file store: every request is refused with 5010. */
export const NoFileRoutes = () =>
  HttpRouter.add(
    "*",
    `${VERDANT_PATH}/files/*`,
    verdantResponse(everyOrigin)(Effect.fail(new HttpRefusal({ code: Code.noFileStorage })))
  )

const upload = (options: FileOptions, uploads: Semaphore.Semaphore) =>
  Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const { grant, ended } = yield* admitClient
    yield* requireWholeLibrary(grant)
    if (grant.readOnly) return yield* new HttpRefusal({ code: Code.forbidden })
    const fileId = yield* fileIdOfPath
    yield* requireAccess(grant, { _tag: "UploadFile", fileId })
    const files = yield* VerdantFiles
    // Refuse before reading the body. Another user may still be faster, so the recording is refused as well.
    if (!(yield* files.mayRecord(grant.libraryId, fileId, grant.userId))) {
      return yield* new HttpRefusal({ code: Code.forbidden })
    }
    const room = yield* Effect.catchTag(files.roomFor(grant.libraryId, fileId), "FilesFull", () => libraryFull)
    const blob = newBlobKey(grant.libraryId, fileId)
    const limits = room < options.maxBytes ? { ...options, maxBytes: room, tooLarge: Code.libraryFull } : options
    const received = yield* receiveUpload(request, blob, limits).pipe(
      uploads.withPermitsIfAvailable(1),
      Effect.flatMap(Effect.fromOption),
      Effect.catchTag("NoSuchElementError", () => Effect.fail(new HttpRefusal({ code: Code.unavailable }))),
      Effect.raceFirst(ended)
    )
    const { name, type, size, hash } = received
    const file: FileRecord = { fileId, name: displayName(name), type, size, hash, blob, userId: grant.userId }
    yield* recordUpload(grant.libraryId, file).pipe(
      Effect.catchTags({
        FilesFull: () => libraryFull,
        AnothersFile: () => Effect.fail(new HttpRefusal({ code: Code.forbidden }))
      })
    )
    return HttpServerResponse.jsonUnsafe({ success: true })
  }).pipe(Effect.catchTag("Refused", refuseUpload))

const libraryFull = Effect.fail(new HttpRefusal({ code: Code.libraryFull }))

/** Closes the connection after the refusal of a body without a length: how much of it is still to come is not known. */
const refuseUpload = Effect.fnUntraced(function* (refused: HttpRefusal) {
  const { headers } = yield* HttpServerRequest.HttpServerRequest
  const response = refusal(refused)
  return headers["content-length"] === undefined
    ? HttpServerResponse.setHeader(response, "connection", "close")
    : response
})

const information = (options: FileOptions) =>
  Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const { grant } = yield* admitClient
    yield* requireWholeLibrary(grant)
    const fileId = yield* fileIdOfPath
    yield* requireAccess(grant, { _tag: "DownloadFile", fileId, byLink: false })
    const file = yield* find(grant.libraryId, fileId, grant.userId)
    const { name, type } = file
    const origin = options.publicOrigin ?? originOf(request)
    const url = yield* urlOfFile(grant.libraryId, file, { ...options, origin, links: yield* FileLinks })
    return HttpServerResponse.jsonUnsafe(
      { id: fileId, name, type, url, libraryId: grant.libraryId },
      { headers: { "cache-control": "no-store" } }
    )
  })

const download = Effect.gen(function* () {
  const request = yield* HttpServerRequest.HttpServerRequest
  const fileId = yield* fileIdOfPath
  // A browser sends the cookies of an app's session with a link as well, so the link goes before them.
  const hasSession = (yield* Access).authenticate !== undefined && !request.url.includes("signature=")
  const isByToken = hasToken(request.headers) || hasSession
  const { grant, ended: revoked } = yield* isByToken ? admitClient : admitByLink(request, fileId)
  yield* requireWholeLibrary(grant)
  const removed = yield* requireLastingAccess(grant, { _tag: "DownloadFile", fileId, byLink: !isByToken })
  const ended = removed === undefined ? revoked : Effect.raceFirst(revoked, removed)
  const reader = isByToken ? grant.userId : undefined
  const file = yield* find(grant.libraryId, fileId, reader)
  const sent = yield* sendFile(request, file, ended)
  if (sent !== undefined) return sent
  // An upload may have replaced the file since it was found.
  const now = yield* find(grant.libraryId, fileId, reader)
  const again = now.blob === file.blob ? undefined : yield* sendFile(request, now, ended)
  if (again !== undefined) return again
  yield* Effect.logError(
    "The file store lacks the bytes of a recorded file; check that it is the store that the file was uploaded to",
    { libraryId: grant.libraryId, fileId }
  )
  return yield* new HttpRefusal({ code: Code.notFound })
})

/** Admits the bearer of a signed link. No revocation ends a link, but it is refused while its library is suspended. */
const admitByLink = Effect.fnUntraced(function* (request: HttpServerRequest.HttpServerRequest, fileId: FileId) {
  const query = parseQuery(request.url.slice(request.url.indexOf("?") + 1))
  if (!query.has("signature")) return yield* new HttpRefusal({ code: Code.noToken })
  const libraryId = yield* Effect.mapError((yield* FileLinks).verify(fileId, query), refusalOfLink)
  return yield* admitGrant({
    userId: "@link",
    libraryId,
    documents: undefined,
    readOnly: true,
    replicaType: ReplicaType["read-only"],
    expiresAt: Number(query.get("expires")),
    tokenId: undefined,
    issuedAt: Number.MAX_SAFE_INTEGER
  })
})

const refusalOfLink = ({ reason }: LinkRefused): HttpRefusal =>
  new HttpRefusal({ code: reason === "expired" ? Code.tokenExpired : Code.invalidToken })

/** Files belong to the library, so a token for some of its documents does not reach them. */
const requireWholeLibrary = (grant: Grant) =>
  grant.documents === undefined ? Effect.void : Effect.fail(new HttpRefusal({ code: Code.forbidden }))

/** The file. A file that the reader may not read is refused as not found. `reader`: undefined for the bearer of a link. */
const find = Effect.fnUntraced(function* (libraryId: LibraryId, fileId: FileId, reader: string | undefined) {
  const file = yield* (yield* VerdantFiles).find(libraryId, fileId, reader)
  return file === undefined ? yield* new HttpRefusal({ code: Code.notFound }) : file
})

const decodeFileId = Schema.decodeUnknownEffect(FileId)

/** The file id in the path. A malformed one is refused as not found. */
const fileIdOfPath = Effect.flatMap(HttpRouter.params, ({ fileId }) =>
  Effect.mapError(decodeFileId(fileId), () => new HttpRefusal({ code: Code.notFound }))
)

/** The origin that the client used, by its own headers: only that client sees the response, so they can be trusted. */
const originOf = ({ headers }: HttpServerRequest.HttpServerRequest): string => {
  const host = headers["host"]
  if (host === undefined || !/^[\w.:[\]-]{1,255}$/.test(host)) return ""
  const isSecure = headers["x-forwarded-proto"]?.split(",")[0]?.trim() === "https"
  return `${isSecure ? "https" : "http"}://${host}`
}
