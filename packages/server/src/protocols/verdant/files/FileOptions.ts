/** Options for files, for the routes that serve them and for the links to them. */
import type { Duration, Effect } from "effect"
import type { BlobKey } from "../../../ports/BlobStore.ts"

/** A file for which the app makes a URL. */
export interface FileToLink {
  readonly libraryId: string
  readonly id: string
  /** The name that its user gave it. It may hold any character but a slash, so encode it before it is part of a URL. */
  readonly name: string
  readonly type: string
  readonly size: number
  /** The key of its bytes in the `BlobStore`, for example of the object in a bucket. */
  readonly key: BlobKey
}

export interface FileOptions {
  /** The origin at which clients reach the server, such as `https://sync.example.org`. Default: the one each request names. */
  readonly publicOrigin: string | undefined
  /**
   * The app's own URL of a file, for example of a CDN or a presigned one. The app then serves the bytes and decides who gets
   * them. Clients keep a URL as long as their data. Default: a signed link to this server. If it fails or takes longer than
   * 5 seconds, the request for the file's information is answered with 500.
   */
  readonly getUrl: ((file: FileToLink) => Effect.Effect<string>) | undefined
  /** The path under which an app's server serves Sealog. `NodeHandlers` sets it from its own `path`. Default: "". */
  readonly mountPath: string
  /** The largest file, in bytes. Default: 100 MiB. */
  readonly maxBytes: number
  /** Accepted media types, such as `image/*` or `application/pdf`, as uploaders declare them. Default: all. */
  readonly types: ReadonlyArray<string> | undefined
  /** Simultaneous uploads; more are refused with 503 and may be repeated. Default: 32. On S3, each holds 8 MiB in memory. */
  readonly maxUploads: number
  /** How long an upload, or a client that receives a response, may pause. Default: 30 s. */
  readonly idleTimeout: Duration.Input
  /** How long an upload may take. Default: 10 minutes, enough for 100 MiB at 1.4 Mbit/s. */
  readonly uploadTimeout: Duration.Input
  /**
   * How long a link to a file is valid, at least. Default: ten years, because Verdant's client keeps a link as long as its
   * data and never asks for another. Choose less if your app asks for a link each time.
   */
  readonly linkLifetime: Duration.Input
}

export const defaultFileOptions: FileOptions = {
  publicOrigin: undefined,
  getUrl: undefined,
  mountPath: "",
  maxBytes: 100 * 1024 * 1024,
  types: undefined,
  maxUploads: 32,
  idleTimeout: "30 seconds",
  uploadTimeout: "10 minutes",
  linkLifetime: "3650 days"
}
