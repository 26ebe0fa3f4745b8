/** The flag of commands that ask a running server, and the operator's token for it. */
import * as Flags from "@oclif/core/flags"
import { CliFailure } from "../output/CliFailure.ts"

export const serverFlags = {
  server: Flags.string({
    description: "URL of a server that runs with --admin; its operator's token is in ADMIN_TOKEN or ADMIN_TOKEN_FILE",
    env: "SEALOG_SERVER",
    default: "http://localhost:4000"
  })
}

/** For commands that work on the database, or through a server's API. */
export const targetFlags = {
  server: Flags.string({
    description:
      "URL of a server that runs with --admin: the command works through its API, as the operator of the token in ADMIN_TOKEN or ADMIN_TOKEN_FILE (default: on the database)",
    env: "SEALOG_SERVER"
  })
}

export interface ServerAddress {
  readonly url: string
  readonly token: string
}

/** The server's URL without a slash at its end, and the token of the environment. */
export const serverOf = async ({ server }: { readonly server: string }): Promise<ServerAddress> => {
  if (!/^https?:\/\//.test(server) || !URL.canParse(server)) {
    throw new CliFailure({
      code: "SERVER_URL_INVALID",
      message: "The URL in --server does not begin with http:// or https://.",
      exitCode: 2,
      tryThis: "--server https://sync.example.org"
    })
  }
  const { readSecretFile } = await import("./secrets.ts")
  const file = process.env["ADMIN_TOKEN_FILE"]
  const token = file ? readSecretFile(file, "ADMIN_TOKEN_FILE") : process.env["ADMIN_TOKEN"]?.trim()
  if (!token) {
    throw new CliFailure({
      code: "NO_ADMIN_TOKEN",
      message: "The server's API takes the token of an operator, and ADMIN_TOKEN has none.",
      exitCode: 2,
      tryThis: "export ADMIN_TOKEN=$(sync-admin token mint --admin --user YOUR_NAME --expires 8h)"
    })
  }
  return { url: server.replace(/\/+$/, ""), token }
}
