/** The words about a server that has started. */

/**
 * The settings that differ from their defaults, for the line at the start. Nothing in it is a secret: secrets are not flags, and
 * the URLs that may hold a password are replaced.
 */
export const settingsOf = (flags: Readonly<Record<string, unknown>>, actual: Readonly<Record<string, unknown>>) => {
  const { database: _, json: __, signals, "token-jwks": jwks, ...others } = flags
  const given = Object.entries(others).filter(([, value]) => value !== undefined && value !== false)
  return {
    ...Object.fromEntries(given),
    ...(signals === undefined ? {} : { signals: "redis" }),
    ...(jwks === undefined
      ? {}
      : {
          "token-jwks": String(jwks)
            .replace(/\/\/[^/]*@/, "//")
            .replace(/\?.*/, "")
        }),
    ...Object.fromEntries(Object.entries(actual).filter(([, value]) => value !== undefined))
  }
}

export const hostInUrl = (host: string | undefined): string => {
  if (host === undefined || host === "127.0.0.1") return "localhost"
  return host.includes(":") ? `[${host}]` : host
}
