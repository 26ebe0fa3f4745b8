/** The settings of `serve` for Verdant's libraries and files: flags, or the variables that stand for them. */
import * as Flags from "@oclif/core/flags"
import { CliFailure } from "../output/CliFailure.ts"
import { durationOf } from "./durations.ts"

export const verdantFlags = {
  truancy: Flags.string({
    description: "time without a word after which a Verdant replica is truant: 12h, 7d (default: 7d)",
    env: "SEALOG_TRUANCY"
  }),
  "keep-files": Flags.string({
    description: "how long a file is kept to which no document refers: 1d, 14d (default: 14d)",
    env: "SEALOG_KEEP_FILES"
  }),
  "compact-after": Flags.string({
    description: "operations after which a Verdant library is compacted, or never (default: 1000)",
    env: "SEALOG_COMPACT_AFTER"
  }),
  "public-url": Flags.string({
    description:
      "URL at which clients reach the server, for links to files: https://sync.example.org (default: the host that each request names)",
    env: "SEALOG_PUBLIC_URL"
  })
}

/** Settings that adapters and other commands read from the environment alone. */
export const exportedFlags = {
  "s3-endpoint": Flags.string({
    description: "URL of the object store, for --files s3: https://s3.eu-central-1.amazonaws.com",
    env: "S3_ENDPOINT"
  }),
  "s3-bucket": Flags.string({ description: "bucket of uploaded files, for --files s3", env: "S3_BUCKET" }),
  "s3-region": Flags.string({ description: "region of the bucket (default: us-east-1)", env: "S3_REGION" }),
  "s3-prefix": Flags.string({
    description: "beginning of every key in the bucket (default: none)",
    env: "S3_PREFIX"
  }),
  "s3-path-style": Flags.option({ options: ["true", "false"] as const })({
    description: "whether the bucket's name is in the path of URLs, or in their host (default: true)",
    env: "S3_PATH_STYLE"
  }),
  "token-secret-file": Flags.string({
    description: "file with the secrets that sign and verify tokens, in place of TOKEN_SECRET",
    env: "TOKEN_SECRET_FILE"
  }),
  "link-secret-file": Flags.string({
    description: "file with the secrets that sign links to files, in place of LINK_SECRET",
    env: "LINK_SECRET_FILE"
  })
}

/** Gives the flags that were set to the environment. */
export const exportFlags = (
  flags: { readonly [name in keyof typeof exportedFlags]?: string | undefined },
  env: NodeJS.ProcessEnv = process.env
): void => {
  for (const [name, { env: variable = "" }] of Object.entries(exportedFlags)) {
    const value = flags[name as keyof typeof exportedFlags]
    if (value !== undefined) env[variable] = value
  }
}

type VerdantFlags = { readonly [name in keyof typeof verdantFlags]?: string | undefined }

/** Fails with `DURATION_INVALID`, `COMPACT_AFTER_INVALID` or `PUBLIC_URL_INVALID`. */
export const verdantSettings = (flags: VerdantFlags) => {
  const { "compact-after": compactAfter, "keep-files": keepFiles, "public-url": publicUrl, truancy } = flags
  return {
    verdant: {
      ...(truancy === undefined ? {} : { replicaTruancy: durationOf(truancy) }),
      ...(keepFiles === undefined ? {} : { keepFiles: durationOf(keepFiles) }),
      ...(compactAfter === undefined ? {} : { foldAfter: operationsOf(compactAfter) })
    },
    files: publicUrl === undefined ? {} : { publicOrigin: urlOf(publicUrl) }
  }
}

const operationsOf = (text: string): number => {
  if (text === "never") return Number.POSITIVE_INFINITY
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text)
  throw new CliFailure({
    code: "COMPACT_AFTER_INVALID",
    message: `${text} is not a number of operations.`,
    exitCode: 2,
    tryThis: "a whole number from 1 on, such as 1000, or never"
  })
}

/** Without a slash at its end. */
const urlOf = (text: string): string => {
  const url = URL.parse(text)
  const isPlain = url !== null && /^https?:$/.test(url.protocol) && url.search + url.hash + url.username === ""
  if (isPlain) return url.href.replace(/\/$/, "")
  throw new CliFailure({
    code: "PUBLIC_URL_INVALID",
    message: `${text} is not the URL of a server.`,
    exitCode: 2,
    tryThis: "https://sync.example.org, without a query"
  })
}
