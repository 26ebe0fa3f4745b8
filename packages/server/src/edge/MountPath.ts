/** The path of an app's own server under which Sealog is served. */
import { Result, Schema } from "effect"
import { parseQuery } from "../internal/parseQuery.ts"
import { isVerdantPath, VERDANT_PATH } from "../protocols/verdant/ConnectionUrl.ts"

/** The `path` of a mounted server is not a path. */
export class InvalidMountPath extends Schema.TaggedError<InvalidMountPath>()("InvalidMountPath", {
  path: Schema.String
}) {
  override get message(): string {
    return `"${this.path}" is not a path to mount the server at: use "" or a path such as "/sync", without a query`
  }
}

export interface MountPath {
  /** "" or `/name`, without a slash at its end. */
  readonly prefix: string
  /** The path and query of a URL below the prefix, with a slash at the beginning; undefined: the URL is not below it. */
  readonly below: (url: string) => string | undefined
}

export const parseMountPath = (path: string): Result.Result<MountPath, InvalidMountPath> => {
  const prefix = path.replace(/\/$/, "")
  if (!/^(\/[^/?#\s]+)*$/.test(prefix)) return Result.fail(new InvalidMountPath({ path }))
  return Result.succeed({
    prefix,
    below: (url) => {
      if (!url.startsWith(prefix)) return undefined
      const rest = url.slice(prefix.length)
      return rest.startsWith("/") ? rest : undefined
    }
  })
}

/** Whether a request is a Verdant client's, by its URL below the mount path. */
export const isOwnRequest = (url: string): boolean => isVerdantPath(url) || url.startsWith(`${VERDANT_PATH}/`)

/** Whether an upgrade is a Verdant or a Secsync client's. A Secsync client always sends a session key, also an empty one. */
export const isOwnUpgrade = (url: string): boolean => {
  const query = url.indexOf("?")
  return isVerdantPath(url) || (query !== -1 && parseQuery(url.slice(query)).has("sessionKey"))
}
