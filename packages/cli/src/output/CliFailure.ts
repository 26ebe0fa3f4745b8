/** What went wrong, for the person at the terminal and for the script: a code that stays, and what to try. */

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

  /** As `--json` shows it. */
  toJSON() {
    const { code, message, tryThis } = this
    return { error: { code, message, ...(tryThis === undefined ? {} : { try: tryThis }) } }
  }

  /** As people read it. */
  toText(): string {
    return `Error: ${this.message} [${this.code}]\n${this.tryThis === undefined ? "" : `Try: ${this.tryThis}\n`}`
  }
}

/** Any failure as one that can be shown. */
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
      tryThis: "the same command again once --files can be reached; what was done stays done"
    })
  }
  if (isTagged(error, "ListenError")) {
    return new CliFailure({
      code: "PORT_UNAVAILABLE",
      message: error.message,
      exitCode: 2,
      tryThis: "another --port, or stop what listens there"
    })
  }
  if (isTagged(error, "SecretTooShort")) {
    return new CliFailure({
      code: "SECRET_TOO_SHORT",
      message: error.message,
      exitCode: 2,
      tryThis: 'TOKEN_SECRET=$(node -p \'require("crypto").randomBytes(32).toString("hex")\')'
    })
  }
  for (const [tag, { code, tryThis }] of Object.entries(REFUSALS)) {
    if (isTagged(error, tag)) return new CliFailure({ code, message: error.message, exitCode: 1, tryThis })
  }
  // What oclif throws for unknown commands, flags and missing arguments.
  if (error instanceof Error && "oclif" in error) {
    return new CliFailure({ code: "USAGE", message: error.message, exitCode: 2, tryThis: "--help" })
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return new CliFailure({ code: "UNEXPECTED", message, exitCode: 1 })
}

/** What is found wrong with a log or an export while it is carried over. */
const REFUSALS: Readonly<Record<string, { readonly code: string; readonly tryThis: string }>> = {
  StreamDiverged: { code: "STREAM_DIVERGED", tryThis: "an empty database, or one that holds a copy of the same log" },
  StreamDamaged: { code: "STREAM_DAMAGED", tryThis: "`sync-admin replay` lists all that is wrong" },
  LineRefused: { code: "LINE_REFUSED", tryThis: "the export as it was written; what of it is stored will be skipped" }
}

/** What a person can act on is at the bottom of the causes: "no such table", not "failed to prepare statement". */
const rootMessage = (error: Error): string => {
  let root = error
  while (root.cause instanceof Error) root = root.cause
  return root.message
}

const storageAdvice = (message: string): string => {
  if (/locked|busy/i.test(message)) return "again in a moment, or stop the process that holds the database"
  if (/no such table/.test(message)) return "`sync-admin migrate`: nothing was set up in this database yet"
  return "check --database (or DATABASE_URL); `sync-admin migrate` makes a new database"
}

const isTagged = (error: unknown, tag: string): error is Error =>
  error instanceof Error && "_tag" in error && error._tag === tag
