import { Context } from "effect"

/** Makes the ids by which processes tell each other apart: 12 characters. A simulation provides ids of its own. */
export const RandomId = Context.Reference<() => string>("@sealog/server/RandomId", {
  defaultValue: () => () => Buffer.from(crypto.getRandomValues(new Uint8Array(9))).toString("base64url")
})
