/** The URLs at which files are downloaded: signed links to this server, or the app's own, such as those of a CDN. */
import { Duration, Effect } from "effect"
import type { LibraryId } from "../../../domain/Ids.ts"
import { callApp } from "../../../internal/callApp.ts"
import type { FileRecord } from "./FileCatalog.ts"
import { type FileLinks, linkTo } from "./FileLinks.ts"
import type { FileOptions } from "./FileOptions.ts"

/** Time for a URL of the app's own. The request that waits for it has a place among `limits.maxRequests`. */
const TIMEOUT = Duration.seconds(5)

/** Returns the URL of a file; null: there is neither a signer nor a function of the app. */
export const urlOfFile = (
  libraryId: LibraryId,
  file: FileRecord,
  {
    getUrl,
    links,
    ...options
  }: Pick<FileOptions, "getUrl" | "linkLifetime" | "mountPath"> & {
    readonly links: FileLinks["Service"] | undefined
    /** "": the URL begins with a slash. */
    readonly origin: string
  }
): Effect.Effect<string | null> => {
  const { blob, fileId, name, size, type } = file
  if (getUrl !== undefined) {
    return callApp(TIMEOUT, () => getUrl({ ...{ libraryId, name, type, size }, id: fileId, key: blob }))
  }
  return links === undefined ? Effect.succeed(null) : linkTo(links, libraryId, fileId, options)
}
