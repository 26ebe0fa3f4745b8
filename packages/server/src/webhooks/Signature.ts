/** The signature of a webhook's message, after Standard Webhooks (https://www.standardwebhooks.com): `v1`, HMAC-SHA256. */
import { createHmac, randomBytes } from "node:crypto"

const PREFIX = "whsec_"

export const newSecret = (): string => PREFIX + randomBytes(32).toString("base64")

/** The value of the header `webhook-signature`. `timestamp`: seconds since 1970. */
export const sign = (secret: string, id: string, timestamp: number, body: string): string => {
  const key = Buffer.from(secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : secret, "base64")
  return `v1,${createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64")}`
}
