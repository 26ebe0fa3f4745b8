/** The operator behind a command, and the reason: both are kept in the event that the command writes. */
import { userInfo } from "node:os"
import * as Flags from "@oclif/core/flags"
import { type Attribution, Operator, Reason } from "@sealog/server/admin"
import { is } from "effect/Schema"
import { CliFailure } from "../output/CliFailure.ts"

export const operatorFlags = {
  as: Flags.string({ description: "your name, kept in the log (default: the system's user name)" }),
  reason: Flags.string({ description: "why you do this, kept in the log" })
}

export const attributionOf = (flags: {
  readonly as: string | undefined
  readonly reason: string | undefined
}): Attribution => {
  if (flags.as !== undefined && !is(Operator)(flags.as)) throw invalid("--as", "1 to 200 characters")
  if (flags.reason !== undefined && !is(Reason)(flags.reason)) throw invalid("--reason", "1 to 500 characters")
  const operator = flags.as ?? systemUser()
  return {
    ...(is(Operator)(operator) ? { operator } : {}),
    ...(flags.reason === undefined ? {} : { reason: flags.reason })
  }
}

/** undefined: the system has no name for this user, as in some containers. */
const systemUser = (): string | undefined => {
  try {
    return userInfo().username
  } catch {
    return undefined
  }
}

const invalid = (flag: string, rule: string): CliFailure =>
  new CliFailure({
    code: "USAGE",
    message: `The value of ${flag} is empty, too long, or holds control characters.`,
    exitCode: 2,
    tryThis: `${rule} in one line`
  })
