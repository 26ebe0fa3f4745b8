/** The options of `createSealog`. */
import type { QuotaChange } from "../domain/Quota.ts"
import type { MountOptions } from "../edge/NodeHandlers.ts"
import type { AccessOptions } from "../ports/Access.ts"
import type { SecsyncOptions } from "../protocols/secsync/Sessions.ts"
import type { BeforeStored, IncomingMessage, StoredMessage } from "../protocols/secsync/StoredHooks.ts"
import type { FileOptions, FileToLink } from "../protocols/verdant/files/FileOptions.ts"
import type { Policy, SessionAccess, TokenAccess } from "./access.ts"
import type { Log } from "./logging.ts"
import type { FileStore, Storage } from "./stores.ts"

/** A time is a number of milliseconds, or a text such as `"30 seconds"` or `"7 days"`. */
export interface SealogOptions extends Omit<MountOptions, "access" | "files" | "quota" | "quotaOf" | "secsync"> {
  /** `sqliteStorage({ filename })`, `postgresStorage({ url })` or `memoryStorage()`. */
  readonly storage: Storage
  /**
   * `{ secret }`: tokens that `mint` makes. Or a function from a request to the rights of the app's own session, which is
   * called for each connection, poll and file request, and has 5 seconds for its answer. With sessions, `origins` is
   * `same-origin` unless it is set, because a browser sends cookies with the WebSockets of any site's pages.
   */
  readonly access: TokenAccess | SessionAccess
  /**
   * The app's policy: decides each action within the rights of the token or session. Default: these decide alone. A rejected
   * promise and a late answer refuse the client for now. `accessOptions.policyTimeout`: 5 seconds.
   */
  readonly allows?: Policy
  readonly accessOptions?: AccessOptions
  /**
   * Returns the JSON that peers see of a user. Kept for a minute. Default: `{ id }`, which also stands in for a profile that
   * fails, or that takes longer than a second.
   */
  readonly profiles?: { readonly get: (userId: string) => unknown }
  /** The files of Verdant's clients. Default: none, and file requests are refused with the code 5010. */
  readonly files?: SealogFiles
  readonly secsync?: SealogSecsync
  /** The quota of libraries for which neither an operator nor `quotaOf` sets another. Defaults: see `Quota`. */
  readonly quota?: QuotaChange
  /** See `SyncServerOptions.quotaOf`. It must be quick: look the answer up in memory. */
  readonly quotaOf?: (libraryId: string) => QuotaChange | undefined
  /** Receives the lines of the log. Default: the console. */
  readonly log?: Log
}

export interface SealogFiles extends Partial<Omit<FileOptions, "getUrl" | "mountPath">> {
  /** `fileDirectory(path)` or `s3Bucket({ … })`. */
  readonly store: FileStore
  /**
   * Secrets that sign the links to files, at least 32 bytes each; the first one signs. Default: those of `access`. Without
   * any, and without `getUrl`, files are not served.
   */
  readonly linkSecret?: string | ReadonlyArray<string>
  /** The app's own URL of a file, for example of a CDN; see `FileOptions.getUrl`. */
  readonly getUrl?: (file: FileToLink) => string | Promise<string>
}

export interface SealogSecsync extends Omit<SecsyncOptions, "beforeStored" | "afterStored"> {
  /** See `StoredHookOptions.beforeStored`. A rejected promise is a failure. */
  readonly beforeStored?: (message: IncomingMessage) => BeforeStored | Promise<BeforeStored>
  /** See `StoredHookOptions.afterStored`. After a rejected promise it is called again with the same message. */
  readonly afterStored?: (message: StoredMessage) => void | Promise<void>
}
