/** Signed requests to one bucket (Signature Version 4). Retries while the service is busy or the network fails. */
import { createHash } from "node:crypto"
import { AwsV4Signer } from "aws4fetch"
import { type Duration, Effect, Schedule, Schema, type Scope } from "effect"
import { errorText } from "../domain/errorText.ts"
import type { S3Credentials } from "./S3Credentials.ts"

export interface S3ClientOptions {
  readonly endpoint: string
  readonly bucket: string
  readonly region: string
  readonly pathStyle: boolean
  /** Called for each request: credentials of a role end and are replaced. A rejection counts as a service out of reach. */
  readonly credentials: () => Promise<S3Credentials>
}

export interface S3Request {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE"
  /** The object's name; empty for the bucket. */
  readonly name: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array<ArrayBuffer>
}

/** The service answered, but not with success. */
export class S3Refused extends Schema.TaggedError<S3Refused>()("S3Refused", {
  status: Schema.Finite,
  code: Schema.String
}) {
  override get message(): string {
    return `S3 answered ${this.status}${this.code === "" ? "" : ` (${this.code})`}`
  }
}

/** The service was not reached, or did not answer in time. */
export class S3Unreachable extends Schema.TaggedError<S3Unreachable>()("S3Unreachable", { cause: Schema.Defect() }) {
  override get message(): string {
    const cause = this.cause instanceof Error && this.cause.cause instanceof Error ? this.cause.cause : this.cause
    return `S3 cannot be reached: ${errorText(cause)}`
  }
}

export type S3Error = S3Refused | S3Unreachable

export interface S3Client {
  /** Sends a request, and returns the headers and the body as text. */
  readonly call: (request: S3Request) => Effect.Effect<{ readonly headers: Headers; readonly text: string }, S3Error>
  /** Sends a request, and returns the response before its body is read. Closing the scope ends it. */
  readonly open: (request: S3Request) => Effect.Effect<Response, S3Error, Scope.Scope>
}

/** The time limit from sending to the response's headers; for a part of a file, all of it is sent by then. */
const TIMEOUT = "60 seconds"
/** The time limit of a body: while the service joins the parts of a large file, it sends only blanks. */
const SLOW_ANSWER = "5 minutes"

/** Each day, and each new secret of a role, adds one. */
const MAX_SIGNING_KEYS = 100

export const makeS3Client = (options: S3ClientOptions): S3Client => {
  const base = new URL(options.endpoint)
  if (!options.pathStyle) base.hostname = `${options.bucket}.${base.hostname}`
  const root = base.href.replace(/\/$/, "") + (options.pathStyle ? `/${options.bucket}` : "")
  // The signing keys, which are derived from the secret for a day.
  const cache = new Map<string, ArrayBuffer>()

  const fetchSigned = async ({ method, name, query, headers, body }: S3Request, signal: AbortSignal) => {
    const credentials = await options.credentials()
    if (cache.size > MAX_SIGNING_KEYS) cache.clear()
    const url = new URL(name === "" ? root : `${root}/${name}`)
    for (const [key, value] of Object.entries(query ?? {})) url.searchParams.set(key, value)
    const signer = new AwsV4Signer({
      method,
      url: url.href,
      headers: {
        ...headers,
        // The service checks the body against this hash.
        "x-amz-content-sha256": createHash("sha256")
          .update(body ?? "")
          .digest("hex")
      },
      service: "s3",
      region: options.region,
      ...credentials,
      cache
    })
    const signed = await signer.sign()
    // No redirects: the signature is valid for this host alone.
    return fetch(signed.url, { method, headers: signed.headers, body: body ?? null, redirect: "manual", signal })
  }

  const open = Effect.fnUntraced(function* (request: S3Request) {
    // Closing the scope ends a request that is still running or a body that was not read.
    const abort = yield* Effect.acquireRelease(
      Effect.sync(() => new AbortController()),
      (abort) => Effect.sync(() => abort.abort())
    )
    const response = yield* unreachable(() => fetchSigned(request, abort.signal), TIMEOUT)
    if (response.ok) return response
    const text = yield* unreachable(() => response.text(), TIMEOUT)
    const code = /<Code>([^<]{1,100})<\/Code>/.exec(text)?.[1] ?? ""
    return yield* new S3Refused({ status: response.status, code })
  })

  const call = Effect.fnUntraced(function* (request: S3Request) {
    const response = yield* open(request)
    return { headers: response.headers, text: yield* unreachable(() => response.text(), SLOW_ANSWER) }
  }, Effect.scoped)

  return {
    open: (request) => Effect.retry(open(request), again),
    call: (request) => Effect.retry(call(request), again)
  }
}

const unreachable = <A>(promise: () => Promise<A>, timeout: Duration.Input) =>
  Effect.tryPromise({ try: promise, catch: (cause) => new S3Unreachable({ cause }) }).pipe(
    Effect.timeoutOrElse({
      duration: timeout,
      orElse: () => Effect.fail(new S3Unreachable({ cause: new Error("there was no answer in time") }))
    })
  )

const isPassing = (error: S3Error): boolean =>
  error._tag === "S3Unreachable" || error.status >= 500 || error.status === 429

const again = { schedule: Schedule.jittered(Schedule.exponential("100 millis")), times: 3, while: isPassing }
