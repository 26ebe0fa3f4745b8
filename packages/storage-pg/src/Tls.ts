/** Reads the certificate files that a connection URL names; the driver does not read them. */
import { readFileSync } from "node:fs"
import type { ConnectionOptions } from "node:tls"
import { StorageUnavailable } from "@sealog/server/ports"
import { Effect, Redacted } from "effect"

/** Undefined if the URL names no files: then the driver reads its TLS options alone. */
export const tlsOptions = (
  url: Redacted.Redacted<string> | string
): Effect.Effect<ConnectionOptions | undefined, StorageUnavailable> =>
  Effect.try({
    try: () => read(new URL(typeof url === "string" ? url : Redacted.value(url)).searchParams),
    // The error does not repeat the URL, which may hold a password.
    catch: (cause) => new StorageUnavailable({ operation: "read the TLS options of the database URL", cause })
  })

const isThisMachine = (host: string): boolean => /^(localhost|127\.[\d.]+|\[?::1\]?|\/.*|)$/.test(host)

/**
 * Whether a URL's connection stays on this machine without TLS, and the same connection to another host would leave it: then what
 * is sent would be readable on a network that the URL does not speak of.
 */
export const leavesMachineOpenly = (url: Redacted.Redacted<string> | string, host: string): boolean => {
  const { hostname, searchParams } = new URL(typeof url === "string" ? url : Redacted.value(url))
  const hasTls = ["require", "verify-ca", "verify-full"].includes(searchParams.get("sslmode") ?? "")
  return !hasTls && isThisMachine(searchParams.get("host") ?? hostname) && !isThisMachine(host)
}

const read = (params: URLSearchParams): ConnectionOptions | undefined => {
  const [ca, cert, key] = ["sslrootcert", "sslcert", "sslkey"].map((name) => {
    const path = params.get(name)
    return path === null ? undefined : readFileSync(path)
  })
  const mode = params.get("sslmode")
  const checksNoName = mode === "verify-ca"
  if (mode === "disable" || (ca === undefined && cert === undefined && key === undefined && !checksNoName))
    return undefined
  return {
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
    // As in libpq, verify-ca checks the authority and not the host name.
    ...(checksNoName && { checkServerIdentity: () => undefined })
  }
}
