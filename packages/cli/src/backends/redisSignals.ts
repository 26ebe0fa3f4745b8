/** The Redis that carries signals between servers. */
import * as Redacted from "effect/Redacted"
import { CliFailure } from "../output/CliFailure.ts"

export const redisSignals = async (url: string) => {
  if (!/^rediss?:\/\//.test(url) || !URL.canParse(url)) {
    throw new CliFailure({
      code: "SIGNALS_URL_INVALID",
      // The message leaves out the URL, which may hold a password.
      message: "The URL in --signals does not have the form redis://USER:PASSWORD@HOST:PORT.",
      exitCode: 2,
      tryThis: "--signals redis://localhost:6379, or leave out --signals (and SEALOG_SIGNALS)"
    })
  }
  const { RedisSignals } = await import("@sealog/server/adapters")
  return RedisSignals.layer({ url: Redacted.make(url) })
}
