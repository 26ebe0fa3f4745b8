/** An error for the operator and for scripts: a stable code, a message, advice, and an exit code. */
import { errorText } from "./errorText.ts"
import { usageMessage } from "./usage.ts"

/** 1: refused, or problems were found. 2: usage or configuration. 3: the storage is not available. */
export type ExitCode = 1 | 2 | 3

export class CliFailure extends Error {
  readonly code: string
  readonly exitCode: ExitCode
  readonly tryThis: string | undefined

  constructor(options: {
    readonly code: string
    readonly message: string
    readonly exitCode: ExitCode
    readonly tryThis?: string
  }) {
    super(options.message)
    this.name = "CliFailure"
    this.code = options.code
    this.exitCode = options.exitCode
    this.tryThis = options.tryThis
  }

  /** The shape that `--json` prints. */
  toJSON() {
    const { code, message, tryThis } = this
    return { error: { code, message, ...(tryThis === undefined ? {} : { try: tryThis }) } }
  }

  /** The text that people read on stderr. */
  toText(): string {
    return `Error: ${this.message} [${this.code}]\n${this.tryThis === undefined ? "" : `Try: ${this.tryThis}\n`}`
  }
}

/** Translates any error into one that can be shown. */
export const failureOf = (error: unknown): CliFailure => {
  if (error instanceof CliFailure) return error
  if (isTagged(error, "StorageUnavailable")) {
    const root = rootMessage(error)
    const operation = "operation" in error ? error.operation : "answer"
    return new CliFailure({
      code: "STORAGE_UNAVAILABLE",
      message: `The storage failed to ${operation}: ${root}`,
      exitCode: 3,
      tryThis: storageAdvice(root)
    })
  }
  if (isTagged(error, "BlobStoreUnavailable")) {
    return new CliFailure({
      code: "FILES_UNAVAILABLE",
      message: error.message,
      exitCode: 3,
      tryThis: "run the same command again once the file store in --files can be reached; finished steps are kept"
    })
  }
  if (isConfigError(error)) {
    return new CliFailure({
      code: "SETTING_INVALID",
      message: `A setting is missing or wrong: ${error.message}`,
      exitCode: 2,
      tryThis: "set the variable that the message names; docs/files.md lists those of S3"
    })
  }
  if (isTagged(error, "ListenError") || isTagged(error, "MetricsListenError")) {
    return new CliFailure({
      code: "PORT_UNAVAILABLE",
      message: error.message,
      exitCode: 2,
      tryThis: "use another --port, or stop the process that listens on this one"
    })
  }
  if (isTagged(error, "WorkerFailed")) {
    const code = "exitCode" in error ? error.exitCode : null
    return new CliFailure({
      code: "WORKER_FAILED",
      message: error.message,
      exitCode: code === 2 || code === 3 ? code : 1,
      tryThis: "mend what the worker says above, and start the server again"
    })
  }
  if (isTagged(error, "InvalidTrustedProxy")) {
    return new CliFailure({
      code: "TRUSTED_PROXY_INVALID",
      message: error.message,
      exitCode: 2,
      tryThis:
        "--trusted-proxy 10.0.0.0/8, or the proxy's own address; SEALOG_TRUSTED_PROXIES takes several with commas"
    })
  }
  if (isTagged(error, "InvalidOrigin")) {
    return new CliFailure({
      code: "ORIGIN_INVALID",
      message: error.message,
      exitCode: 2,
      tryThis: "--origin https://app.example.org; SEALOG_ORIGINS takes several with commas"
    })
  }
  if (isTagged(error, "SecretTooShort")) {
    return new CliFailure({
      code: "SECRET_TOO_SHORT",
      message: error.message,
      exitCode: 2,
      tryThis: NEW_SECRET
    })
  }
  if (isTagged(error, "TokenKeysError")) {
    const isUnavailable = "reason" in error && error.reason === "unavailable"
    return new CliFailure({
      code: isUnavailable ? "TOKEN_KEYS_UNAVAILABLE" : "TOKEN_KEYS_INVALID",
      message: error.message,
      exitCode: isUnavailable ? 3 : 2,
      ...("advice" in error && typeof error.advice === "string" ? { tryThis: error.advice } : {})
    })
  }
  for (const [tag, { code, tryThis }] of Object.entries(REFUSALS)) {
    if (isTagged(error, tag)) return new CliFailure({ code, message: error.message, exitCode: 1, tryThis })
  }
  // oclif throws these for unknown flags, wrong values and missing arguments.
  if (error instanceof Error && "oclif" in error) {
    return new CliFailure({
      code: "USAGE",
      message: usageMessage(error.message),
      exitCode: 2,
      tryThis: "the same command with --help"
    })
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : errorText(error)
  return new CliFailure({ code: "UNEXPECTED", message, exitCode: 1 })
}

/** The failure of `webhook add`, on a database and through a server. */
export const TOO_MANY_WEBHOOKS = {
  code: "TOO_MANY_WEBHOOKS",
  tryThis: "`sync-admin webhook list`, and `sync-admin webhook remove` for one that no backend needs any more"
}

/** Errors of a copy, a backup or an import, by tag. */
const REFUSALS: Readonly<Record<string, { readonly code: string; readonly tryThis: string }>> = {
  TooManyWebhooks: TOO_MANY_WEBHOOKS,
  StreamDiverged: {
    code: "STREAM_DIVERGED",
    tryThis:
      "use an empty database or place of backups, or one that holds a copy of the same log; the two logs were not mixed"
  },
  LogNotContinued: {
    code: "LOG_NOT_CONTINUED",
    tryThis: "`sync-admin replay --since` names every such stream; after a restore, begin a new folder"
  },
  CheckpointsUnusable: {
    code: "CHECKPOINTS_UNUSABLE",
    tryThis: "the folder and the key of the checkpoints that were made"
  },
  LogDamaged: {
    code: "LOG_DAMAGED",
    tryThis: "stop the servers, keep the database as it is, and see what `sync-admin doctor` names (docs/damage.md)"
  },
  StreamDamaged: { code: "STREAM_DAMAGED", tryThis: "`sync-admin replay` lists every problem of the log" },
  BackupUnusable: {
    code: "BACKUP_UNUSABLE",
    tryThis: "`sync-admin backup verify` names every damaged part, and `sync-admin backup list` the other backups"
  },
  TargetNotEmpty: {
    code: "TARGET_NOT_EMPTY",
    tryThis: "name a new database in --database and an empty place in --files; delete what an interrupted restore left"
  },
  FilesNotNamed: {
    code: "FILES_NOT_NAMED",
    tryThis: "--files with the place that the servers will use, or --without-files"
  },
  LogIsStandby: {
    code: "LOG_IS_STANDBY",
    tryThis: "`sync-admin promote` makes it writable; first make sure that no server writes to the log that it copies"
  },
  NotAStandby: {
    code: "NOT_A_STANDBY",
    tryThis:
      "for `replicate --to`, an empty database, or a log that `sync-admin demote` made a standby; for `promote`, the database of the standby, which needs it once"
  },
  LineRefused: {
    code: "LINE_REFUSED",
    tryThis: "import the export as it was written; events that are stored already are skipped"
  }
}

/** The innermost cause is the one an operator can act on: "no such table", not "failed to prepare statement". */
const rootMessage = (error: Error): string => {
  let root = error
  while (root.cause instanceof Error) root = root.cause
  return root.message
}

/**
 * Advice for each kind of failure of a storage. Advice to create or replace a database is only for one that has no tables:
 * on an unreachable or damaged log, it would lose data.
 */
const storageAdvice = (message: string): string =>
  STORAGE_ADVICE.find(([pattern]) => pattern.test(message))?.[1] ??
  "check --database (or DATABASE_URL), and that the database is running and reachable from this machine"

const STORAGE_ADVICE: ReadonlyArray<readonly [RegExp, string]> = [
  [
    /a newer version of Sealog/,
    "the version that migrated the database, or a newer one; or restore a backup to another database"
  ],
  [/was removed or replaced/, "put the file back, or restart the server if the new file is the right one"],
  [/another server uses/, "stop the other server, use another --database, or Postgres for several servers"],
  [/locked|busy/i, "again in a moment, or stop the process that holds the database"],
  [
    /no such table|relation .* does not exist|schema .* does not exist|lacks the migrations/,
    "`sync-admin migrate` with the same --database, after checking that it names the right database"
  ],
  [
    /not a database|malformed|disk image|invalid page in block|unexpected zero page|is not a btree/i,
    "stop the servers, keep this database, and restore a backup to another one; check that with `sync-admin replay`"
  ],
  [
    /ENOENT|EISDIR|unable to open/,
    "check the path in --database (or DATABASE_URL), the current directory, and that the disk is mounted"
  ],
  [
    /password authentication failed|role .* does not exist|no password|requested password|SASL/i,
    "the user and password in --database (or DATABASE_URL), or the password in PGPASSWORD; for --grant-to, a role that exists"
  ],
  [
    /database .* does not exist/,
    "check the name in --database (or DATABASE_URL); for a new database, `createdb` and then `sync-admin migrate`"
  ],
  [/No username configured/, "name the user in the database URL: postgres://USER@HOST:PORT/NAME"],
  [/disk is full|ENOSPC|No space left/i, "make room on the disk, then run the same command again"],
  [
    /readonly|read-only|EACCES|EPERM|permission denied/i,
    "run the command as a user or database role that may read and write the log"
  ]
]

const isTagged = (error: unknown, tag: string): error is Error =>
  error instanceof Error && "_tag" in error && error._tag === tag

/** Effect's error of a variable that is missing or wrong is no instance of `Error`. */
const isConfigError = (error: unknown): error is { readonly message: string } =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "ConfigError" && "message" in error

/** A shell line that sets a new random secret. */
export const NEW_SECRET = 'TOKEN_SECRET=$(node -p \'require("crypto").randomBytes(32).toString("hex")\')'
