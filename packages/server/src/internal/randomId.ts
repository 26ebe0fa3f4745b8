import { randomBytes } from "node:crypto"
import { Context } from "effect"

/** Makes the ids by which processes tell each other apart: 12 characters. A simulation provides ids of its own. */
export const RandomId = Context.Reference<() => string>("@sealog/server/RandomId", {
  defaultValue: () => () => randomBytes(9).toString("base64url")
})
