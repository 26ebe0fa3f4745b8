/** Where `serve` serves its metrics: its flags, and the token that a scraper sends. */
import * as Flags from "@oclif/core/flags"
import type { MetricsOptions } from "@sealog/server"
import { Redacted } from "effect"
import { CliFailure } from "../output/CliFailure.ts"
import { readSecretFile } from "./secrets.ts"

export const metricsFlags = {
  "metrics-port": Flags.integer({
    description: "port that serves /metrics for Prometheus, and nothing else; 0 chooses a free port (default: none)",
    env: "SEALOG_METRICS_PORT",
    min: 0,
    max: 65_535
  }),
  "metrics-token-file": Flags.string({
    description:
      "file with the token that a scraper sends, in place of SEALOG_METRICS_TOKEN; without --metrics-port, /metrics is then on the server's own port",
    env: "SEALOG_METRICS_TOKEN_FILE"
  })
}

/** A shorter token could be guessed, and one with a space or a comma cannot be sent. */
const isToken = (text: string): boolean => /^[^\s,]{16,}$/.test(text)

export const metricsSettings = (flags: {
  readonly "metrics-port"?: number | undefined
  readonly "metrics-token-file"?: string | undefined
}): MetricsOptions => {
  const [port, file] = [flags["metrics-port"], flags["metrics-token-file"]]
  const token = (file ? readSecretFile(file, "--metrics-token-file") : process.env["SEALOG_METRICS_TOKEN"])?.trim()
  if ((file || token) && !isToken(token ?? "")) {
    throw new CliFailure({
      code: "METRICS_TOKEN_INVALID",
      message: "The token of the metrics has fewer than 16 characters, or holds a space or a comma.",
      exitCode: 2,
      tryThis: "a random text, for example of: openssl rand -hex 32"
    })
  }
  return { ...(port === undefined ? {} : { port }), ...(token ? { token: Redacted.make(token) } : {}) }
}
