/** Options for files, shared by the routes that serve them and the links that lead to them. */
import type { Duration } from "effect"

export interface FileOptions {
  /** What clients reach the server by, as `https://sync.example.org`. Default: as each request says. */
  readonly publicOrigin: string | undefined
  /** Of one file. Default: 100 MiB. */
  readonly maxBytes: number
  /** Media types that are taken, as `image/*` or `application/pdf`, as the uploader declares them. Default: all. */
  readonly types: ReadonlyArray<string> | undefined
  /** At a time; more are asked to come again. Default: 32. On S3, each holds 8 MiB in memory. */
  readonly maxUploads: number
  /** How long an upload, or whoever takes an answer, may pause. Default: 30 s. */
  readonly idleTimeout: Duration.Input
  /** How long an upload may take. Default: 10 minutes, in which 100 MiB come at 1.4 Mbit/s. */
  readonly uploadTimeout: Duration.Input
  /**
   * How long a link to a file is good, at least. Verdant's client keeps a link for as long as it keeps its data and never
   * asks again, so the default is ten years; shorter is for apps that ask for a link each time.
   */
  readonly linkLifetime: Duration.Input
  /** The web apps that may use this, by their origins. Default: all; nothing here goes by cookies. */
  readonly allowsOrigin: (origin: string) => boolean
}

export const defaultFileOptions: FileOptions = {
  publicOrigin: undefined,
  maxBytes: 100 * 1024 * 1024,
  types: undefined,
  maxUploads: 32,
  idleTimeout: "30 seconds",
  uploadTimeout: "10 minutes",
  linkLifetime: "3650 days",
  allowsOrigin: () => true
}
