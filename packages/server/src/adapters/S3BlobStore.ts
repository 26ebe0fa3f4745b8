/**
 * The file store in a bucket of S3, or of a service with its API (MinIO, R2, Ceph, …). A file of up to one part is one request. A
 * larger file is uploaded part by part, with one part in memory, and becomes visible when it is complete.
 */
import { Config, Effect, Exit, Layer, Option, Schema, Stream } from "effect"
import {
  type BlobEntry,
  BlobKey,
  type BlobRange,
  BlobStore,
  BlobStoreUnavailable,
  measure
} from "../ports/BlobStore.ts"
import { makeS3Client, type S3Client, type S3ClientOptions, type S3Error, S3Refused } from "./S3Client.ts"
import { credentialsOf, type S3Keys } from "./S3Credentials.ts"

export interface S3BlobStoreOptions extends Omit<S3ClientOptions, "credentials">, S3Keys {
  /** The prefix of all object names, for a bucket with other content: `sealog/`. */
  readonly prefix: string
}

/** S3 takes at most 10,000 parts, of at least 5 MiB each. */
const PART_BYTES = 8 * 1024 * 1024
const ABORT_TIMEOUT = "10 seconds"

/**
 * Without `accessKeyId` and `secretAccessKey`, the AWS SDK finds the credentials, for example of an instance's role, and replaces
 * them before they end. Fails if only one key is given, or if the package `@aws-sdk/credential-providers` is missing.
 */
export const layerS3 = ({
  accessKeyId,
  secretAccessKey,
  ...options
}: S3BlobStoreOptions): Layer.Layer<BlobStore, BlobStoreUnavailable> => {
  const keys = { ...(accessKeyId && { accessKeyId }), ...(secretAccessKey && { secretAccessKey }) }
  return Layer.effect(
    BlobStore,
    Effect.map(credentialsOf(keys), (credentials) => make({ ...options, credentials }))
  )
}

/** The store that the settings describe, in this bucket and below this prefix. */
const layerConfig = (place: { readonly bucket: Config.Config<string>; readonly prefix: Config.Config<string> }) =>
  Layer.unwrap(
    Effect.map(
      Config.all({
        endpoint: Config.URL("S3_ENDPOINT"),
        region: Config.NonEmptyString("S3_REGION").pipe(Config.withDefault("us-east-1")),
        accessKeyId: Config.option(Config.Redacted("S3_ACCESS_KEY_ID")),
        secretAccessKey: Config.option(Config.Redacted("S3_SECRET_ACCESS_KEY")),
        pathStyle: Config.Boolean("S3_PATH_STYLE").pipe(Config.withDefault(true)),
        ...place
      }),
      ({ accessKeyId, endpoint, secretAccessKey, ...options }) =>
        layerS3({
          ...{ ...options, endpoint: endpoint.href },
          ...(Option.isSome(accessKeyId) && { accessKeyId: accessKeyId.value }),
          ...(Option.isSome(secretAccessKey) && { secretAccessKey: secretAccessKey.value })
        })
    )
  )

/**
 * From `S3_ENDPOINT`, `S3_BUCKET`, `S3_REGION`, `S3_PREFIX`, `S3_PATH_STYLE`, and `S3_ACCESS_KEY_ID` with `S3_SECRET_ACCESS_KEY`,
 * or else as the AWS SDK finds credentials.
 */
export const layerS3Config = layerConfig({
  bucket: Config.NonEmptyString("S3_BUCKET"),
  prefix: Config.String("S3_PREFIX").pipe(Config.withDefault(""))
})

/** The same, in another bucket or below another prefix than `S3_BUCKET` and `S3_PREFIX` name. */
export const layerS3ConfigAt = ({ bucket, prefix }: { readonly bucket: string; readonly prefix: string }) =>
  layerConfig({ bucket: Config.succeed(bucket), prefix: Config.succeed(prefix) })

const make = (options: S3ClientOptions & Pick<S3BlobStoreOptions, "prefix">): BlobStore["Service"] => {
  const s3 = makeS3Client(options)
  const nameOf = (key: BlobKey): string => options.prefix + key

  const put: BlobStore["Service"]["put"] = Effect.fn("BlobStore.put")(function* (key, bytes, maxBytes) {
    const measured = measure(bytes, maxBytes)
    yield* upload(s3, nameOf(key), measured.bytes)
    return measured.stored()
  })

  const stat = (key: BlobKey) =>
    s3.call({ method: "HEAD", name: nameOf(key) }).pipe(
      Effect.map(({ headers }) => ({ size: Number(headers.get("content-length")) })),
      orAbsent(404),
      unavailable("find a file")
    )

  const get = Effect.fn("BlobStore.get")(function* (key: BlobKey, range?: BlobRange) {
    const open = s3.open({ method: "GET", name: nameOf(key), headers: range === undefined ? {} : rangeHeader(range) })
    const response = range?.length === 0 ? undefined : yield* open.pipe(orAbsent(404, 416), unavailable("open a file"))
    if (response === undefined) {
      // The file does not exist, or the range lies past its end.
      const found = yield* stat(key)
      return found === undefined ? undefined : { size: found.size, bytes: Stream.empty }
    }
    const { start, size } = extentOf(response.headers)
    const bytes = bytesOf(response)
    // A service may ignore the range and answer with more.
    return { size, bytes: range === undefined ? bytes : cut(bytes, range.offset - start, range.length) }
  })

  const page = Effect.fnUntraced(function* (after: string | undefined) {
    const query = {
      "list-type": "2",
      prefix: options.prefix,
      ...(after === undefined ? {} : { "continuation-token": after })
    }
    const { text } = yield* s3.call({ method: "GET", name: "", query })
    const entries = Array.from(text.matchAll(/<Contents>(.*?)<\/Contents>/gs), ([, object]) => entryOf(object!))
    const next = Option.fromNullishOr(textIn(text, "NextContinuationToken"))
    return [entries.filter((entry) => entry !== undefined), Option.map(next, unescapeXml)] as const
  })

  const entryOf = (object: string): BlobEntry | undefined => {
    const name = unescapeXml(textIn(object, "Key") ?? "")
    const key = name.slice(options.prefix.length)
    // Another object in the bucket.
    if (!isBlobKey(key)) return undefined
    const modifiedAt = Date.parse(textIn(object, "LastModified") ?? "")
    return { key, size: Number(textIn(object, "Size")), modifiedAt }
  }

  return BlobStore.of({
    put,
    get,
    stat,
    delete: (key) =>
      s3.call({ method: "DELETE", name: nameOf(key) }).pipe(orAbsent(404), Effect.asVoid, unavailable("delete a file")),
    list: Stream.paginate(undefined as string | undefined, (after) => unavailable("list its files")(page(after)))
  })
}

/** Uploads one file, each part as soon as it is full. */
const upload = Effect.fnUntraced(function* <E>(s3: S3Client, name: string, bytes: Stream.Stream<Uint8Array, E>) {
  const buffer = Buffer.allocUnsafeSlow(PART_BYTES)
  let filled = 0
  let uploadId: string | undefined
  const etags: Array<string> = []

  const start = Effect.gen(function* () {
    const { text } = yield* s3.call({ method: "POST", name, query: { uploads: "" } })
    const id = textIn(text, "UploadId")
    return id === undefined ? yield* new S3Refused({ status: 200, code: "NoUploadId" }) : unescapeXml(id)
  })

  const sendPart = Effect.gen(function* () {
    uploadId ??= yield* start
    const query = { partNumber: String(etags.length + 1), uploadId }
    const { headers } = yield* s3.call({ method: "PUT", name, query, body: buffer.subarray(0, filled) })
    etags.push(headers.get("etag") ?? "")
    filled = 0
  })

  const complete = Effect.fnUntraced(function* (uploadId: string) {
    const parts = etags.map((etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag}</ETag></Part>`)
    const body = Buffer.from(`<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`)
    const { text } = yield* s3.call({ method: "POST", name, query: { uploadId }, body })
    // The service answers 200 before it has joined the parts, and may report an error in the body.
    if (text.includes("<Error>")) return yield* new S3Refused({ status: 200, code: textIn(text, "Code") ?? "" })
  })

  const storing = unavailable("store a file")
  const take = Effect.fnUntraced(function* (chunk: Uint8Array) {
    for (let taken = 0; taken < chunk.length; ) {
      const piece = chunk.subarray(taken, taken + PART_BYTES - filled)
      buffer.set(piece, filled)
      taken += piece.length
      filled += piece.length
      if (filled === PART_BYTES) yield* storing(sendPart)
    }
  })
  const finish = Effect.gen(function* () {
    if (uploadId === undefined) return yield* s3.call({ method: "PUT", name, body: buffer.subarray(0, filled) })
    if (filled > 0) yield* sendPart
    return yield* complete(uploadId)
  })
  // If this fails or the process is killed, the bucket's rule for incomplete uploads removes the parts.
  const abort = Effect.suspend(() =>
    uploadId === undefined ? Effect.void : s3.call({ method: "DELETE", name, query: { uploadId } })
  ).pipe(Effect.timeout(ABORT_TIMEOUT), Effect.ignore)

  yield* Stream.runForEach(bytes, take).pipe(
    Effect.andThen(storing(finish)),
    Effect.onExit((exit) => (Exit.isSuccess(exit) ? Effect.void : abort))
  )
})

const isBlobKey = Schema.is(BlobKey)

const rangeHeader = ({ offset, length }: BlobRange) => ({ range: `bytes=${offset}-${offset + length - 1}` })

/** The offset at which the body begins, and the file's size. The header of a part is `bytes 10-19/100`. */
const extentOf = (headers: Headers) => {
  const part = /^bytes (\d+)-\d+\/(\d+)$/.exec(headers.get("content-range") ?? "")
  return part === null
    ? { start: 0, size: Number(headers.get("content-length")) }
    : { start: Number(part[1]), size: Number(part[2]) }
}

const bytesOf = ({ body }: Response): Stream.Stream<Uint8Array, BlobStoreUnavailable> =>
  body === null
    ? Stream.empty
    : Stream.fromReadableStream({
        evaluate: () => body,
        onError: (cause) => new BlobStoreUnavailable({ operation: "read a file", cause })
      })

const cut = <E>(bytes: Stream.Stream<Uint8Array, E>, offset: number, length: number): Stream.Stream<Uint8Array, E> =>
  bytes.pipe(
    Stream.mapAccum(
      () => 0,
      (position, chunk) => {
        const wanted = chunk.subarray(Math.max(0, offset - position), Math.max(0, offset + length - position))
        return [position + chunk.length, [{ wanted, isLast: position + chunk.length >= offset + length }]] as const
      }
    ),
    Stream.takeUntil(({ isLast }) => isLast),
    Stream.map(({ wanted }) => wanted)
  )

const orAbsent =
  (...statuses: ReadonlyArray<number>) =>
  <A, R>(effect: Effect.Effect<A, S3Error, R>): Effect.Effect<A | undefined, S3Error, R> =>
    Effect.catch(effect, (error) =>
      error._tag === "S3Refused" && statuses.includes(error.status) ? Effect.succeed(undefined) : Effect.fail(error)
    )

const unavailable =
  (operation: string) =>
  <A, R>(effect: Effect.Effect<A, S3Error, R>) =>
    Effect.mapError(effect, (cause) => new BlobStoreUnavailable({ operation, cause }))

const textIn = (xml: string, element: string): string | undefined =>
  new RegExp(`<${element}>([^<]*)</${element}>`).exec(xml)?.[1]

const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" }
const unescapeXml = (text: string): string =>
  text.replace(/&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi, (whole, decimal, hex, name) =>
    name !== undefined ? (entities[name] ?? whole) : String.fromCodePoint(decimal ? Number(decimal) : parseInt(hex, 16))
  )
