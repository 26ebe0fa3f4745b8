/** Parts of a quota given on the command line: objects=50000, bytes=32MiB. */
import { defaultQuota, QUOTA_PARTS, type Quota, type QuotaChange } from "@sealog/server/admin"
import { CliFailure } from "../output/CliFailure.ts"
import { sizeOf } from "./sizes.ts"

/** True if a part of the quota counts bytes. */
export const isSize = (part: keyof Quota): boolean => part === "bytes" || part.endsWith("Bytes")

/** Parses parts of a quota. Fails with `QUOTA_INVALID`. */
export const quotaOf = (texts: ReadonlyArray<string>): QuotaChange => Object.fromEntries(texts.map(partOf))

const partOf = (text: string): readonly [keyof Quota, number] => {
  const [name = "", amount = ""] = text.split("=", 2)
  const part = QUOTA_PARTS.find((known) => known === name)
  const value = part === undefined ? Number.NaN : isSize(part) ? sizeOf(amount) : countOf(amount)
  const most = part === "documentAuthors" ? defaultQuota.documentAuthors : Number.MAX_SAFE_INTEGER
  if (part !== undefined && value >= 0 && value <= most) return [part, value]
  throw new CliFailure({
    code: "QUOTA_INVALID",
    message: `${text} is not a part of a quota.`,
    exitCode: 2,
    tryThis: `objects=50000 or bytes=32MiB; the parts are ${QUOTA_PARTS.join(", ")}`
  })
}

const countOf = (text: string): number => (/^\d{1,15}$/.test(text) ? Number(text) : Number.NaN)
