/** The TLS options of a connection URL that name files, which the driver leaves to us. */
import { readFileSync } from "node:fs"
import type { ConnectionOptions } from "node:tls"
import { StorageUnavailable } from "@sealog/server/ports"
import { Effect, Redacted } from "effect"

/** undefined: the URL names no files, and the driver reads the rest of it. */
export const tlsOptions = (
  url: Redacted.Redacted<string> | string
): Effect.Effect<ConnectionOptions | undefined, StorageUnavailable> =>
  Effect.try({
    try: () => read(new URL(typeof url === "string" ? url : Redacted.value(url)).searchParams),
    // Not the URL itself: it may hold a password.
    catch: (cause) => new StorageUnavailable({ operation: "read the TLS options of the database URL", cause })
  })

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
    // As libpq has it: signed by the authority, for whatever host.
    ...(checksNoName && { checkServerIdentity: () => undefined })
  }
}
