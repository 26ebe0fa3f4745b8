/**
 * The web pages that the server answers, and the host names that it answers to: one list for the upgrades of WebSockets, for
 * CORS, and for `Host`. A page that binds its own name to this server's address (DNS rebinding) is of the same origin as the
 * server and sends no `Origin`, but its requests name that host.
 */

import type { IncomingMessage } from "node:http"
import { Result, Schema } from "effect"
import { HEALTH_PATHS } from "./http/HealthRoute.ts"

/**
 * Origins such as `https://app.example.org`. `this-machine`: localhost, 127.0.0.1 and [::1], on any port. `same-origin`: the
 * pages of the host that the request names, whichever that is.
 */
export type OriginList = ReadonlyArray<string> | "this-machine" | "same-origin"

/** An entry of `origins` is not an origin. */
export class InvalidOrigin extends Schema.TaggedError<InvalidOrigin>()("InvalidOrigin", { entry: Schema.String }) {
  override get message(): string {
    return `"${this.entry}" is not an origin: a scheme and a host, such as https://app.example.org, without a path`
  }
}

export interface Origins {
  /** The HTTP status and text that refuse a request; undefined: it may be answered. */
  readonly refusalOf: (request: IncomingMessage) => string | undefined
}

const WRONG_ORIGIN = "403 Forbidden"
const WRONG_HOST = "421 Misdirected Request"

/** undefined: every origin and every host. */
export const parseOrigins = (list: OriginList | undefined): Result.Result<Origins, InvalidOrigin> => {
  if (list === undefined) return Result.succeed({ refusalOf: () => undefined })
  if (list === "this-machine") return Result.succeed(makeOrigins(isOfThisMachine, LOOPBACK))
  if (list === "same-origin") return Result.succeed({ refusalOf: refuseOtherSites })
  const [origins, hosts] = [new Set<string>(), new Set<string>()]
  for (const entry of list) {
    const url = URL.parse(entry.trim())
    if (url === null || !/^[a-z][a-z\d+.-]*:\/\/[^/?#@\s]+\/?$/i.test(entry.trim())) {
      return Result.fail(new InvalidOrigin({ entry }))
    }
    origins.add(url.origin === "null" ? entry.trim().replace(/\/$/, "").toLowerCase() : url.origin)
    hosts.add(url.hostname)
  }
  return Result.succeed(makeOrigins((origin) => origins.has(origin), hosts))
}

const makeOrigins = (allows: (origin: string) => boolean, hosts: ReadonlySet<string>): Origins => ({
  refusalOf: ({ headers: { host, origin }, url }) => {
    if (origin !== undefined && !allows(origin)) return WRONG_ORIGIN
    // Probes and scrapers address a server by its address. They learn nothing but its health, or have a token.
    const isProbe = HEALTH_PATHS.has(url ?? "") || url === "/metrics"
    return isProbe || hosts.has(hostnameOf(host ?? "")) ? undefined : WRONG_HOST
  }
})

const refuseOtherSites: Origins["refusalOf"] = ({ headers: { host, origin } }) =>
  origin === undefined || URL.parse(origin)?.host === host?.toLowerCase() ? undefined : WRONG_ORIGIN

const LOOPBACK: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "[::1]"])

const isOfThisMachine = (origin: string): boolean => LOOPBACK.has(URL.parse(origin)?.hostname ?? "")

/** The name in a `Host` header, without the port: a page that binds its name to another address chooses the port. */
const hostnameOf = (host: string): string => host.toLowerCase().replace(/:\d*$/, "")
