/** A key of tokens in words, without the key. */
import type { JwtAccess } from "@sealog/server/adapters"

export const keyLabel = ({ alg, kid, position, source }: JwtAccess.TokenKey): string => {
  if (source !== "secret") return `the public key ${kid} (${alg})`
  return `secret ${position}${kid === null ? "" : `, named ${kid}`} (${alg})`
}
