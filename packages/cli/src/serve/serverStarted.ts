/** A server's report that it has started: the text for people, and the line of the log. */
import { existsSync } from "node:fs"

export interface StartReport {
  /** Prints a text for people. */
  readonly announce: (text: string) => void
  readonly listening: (port: number) => void
}

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

/** The line of a server that is not in dev mode, and with `--admin` the page of operators. */
export const listeningText = (url: string, database: string, hasAdmin: boolean): string =>
  `Listening on ${url}, log in ${database}${
    hasAdmin
      ? `\nOperators: ${url.replace("ws", "http")}/admin, with a token of \`sync-admin token mint --admin --user YOUR_NAME\``
      : ""
  }`

const EXAMPLE = "examples/secsync-client.ts"
const PNPM = "npx -y pnpm@12.21.0 exec"

/** The text of dev mode: all that it takes to try the server. An app that installed the packages has neither pnpm nor the example. */
export const devText = (url: string, library: string, token: string, database: string): string => {
  const isCheckout = existsSync(EXAMPLE)
  const example = `Sync a document with it, in two terminals:

  ${PNPM} node ${EXAMPLE} ${url} my-document ${token}

Or sync`
  return `Sealog is running, log in ${database}

Open ${url.replace("ws", "http")}/ in a browser: a notebook that the server cannot read, and what the server sees of it.

  websocketEndpoint    ${url}
  websocketSessionKey  ${token}

${isCheckout ? example : "Sync"} a Verdant app with it. The endpoint returns a token for any library and user:

  sync: {
    authEndpoint: "${url.replace("ws", "http")}/auth/${library}?user=ada",
    initialPresence: {},
    defaultProfile: {}
  }

Look into the log:

  ${isCheckout ? PNPM : "npx"} sync-admin library list

The token grants access to the library "${library}" for 30 days. Stop with Ctrl-C.`
}
