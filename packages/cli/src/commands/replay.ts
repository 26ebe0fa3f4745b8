import { Flags } from "@oclif/core"
import type { ReplayOptions, Until } from "@sealog/server/admin"
import { BaseCommand } from "../BaseCommand.ts"
import { CliFailure, failureOf } from "../output/CliFailure.ts"

interface ReplayResult {
  readonly streams: number
  /** Events and payloads that were read and checked. */
  readonly events: number
  readonly payloads: number
  readonly problemCount: number
  readonly problems: ReadonlyArray<{
    readonly libraryId: string
    readonly streamId: string
    readonly version: number
    readonly problem: string
    readonly detail: string
  }>
  /** null: nothing was to be copied. */
  readonly copy: {
    /** The other database, without its password. */
    readonly to: string
    /** Events it lacked and has now. */
    readonly written: number
    /** Events it had. */
    readonly present: number
  } | null
}

export default class Replay extends BaseCommand<ReplayResult> {
  static override description = `Fold the whole log again and check every event of it, or copy it into another database.

Versions, the chain of hashes, the hash and signature of every payload that is still there, clocks, parents and parent proofs. Exit code 1 and a line for each problem when anything is off. A running server may go on meanwhile.

With --to, what the other database lacks is copied: nobody else should write to it, and it must have been migrated. Versions, chain values and the hashes of payloads are checked on the way (the rest as well with --verify), and nothing is copied of a stream from its first problem on; every stream ends at the same chain value in both. A copy that was stopped goes on from there when it is run again. Revocations that name no library are copied only with the whole log.`
  static override examples = [
    "<%= config.bin %> replay",
    "<%= config.bin %> replay --library notes --json",
    "<%= config.bin %> replay --library notes --document welcome --until 120",
    "<%= config.bin %> replay --to sqlite:./copy.db",
    "<%= config.bin %> replay --to env:NEW_DATABASE_URL",
    "<%= config.bin %> replay --until 2h --to sqlite:./two-hours-ago.db --verify"
  ]
  static override flags = {
    library: Flags.string({ description: "only this library" }),
    document: Flags.string({ description: "only this document", dependsOn: ["library"] }),
    until: Flags.string({
      description:
        "stop at this version (with --document), or before a stream's first event after this time: 2026-01-31T12:00Z, or 30s, 15m, 2h, 7d ago"
    }),
    verify: Flags.boolean({
      description: "with --to, check all of what is copied, from the first event on; without it, that is always done",
      default: false
    }),
    to: Flags.string({
      description:
        "another database to copy into: sqlite:PATH, postgres://…, or env:NAME for a variable that holds it, so that nobody sees a password"
    })
  }

  async run(): Promise<ReplayResult> {
    const { flags } = await this.parse(Replay)
    const { documentIdOf, libraryIdOf } = await import("../input/ids.ts")
    const { count, makeProgress } = await import("../output/format.ts")
    const progress = makeProgress(flags.to === undefined ? "replay" : "copy")
    const options = {
      ...(flags.library === undefined ? {} : { libraryId: libraryIdOf(flags.library) }),
      ...(flags.document === undefined ? {} : { documentId: documentIdOf(flags.document) }),
      ...(flags.until === undefined ? {} : { until: await untilOf(flags.until, flags.document !== undefined) }),
      onProgress: progress.update
    }
    const running =
      flags.to === undefined ? this.check(flags.database, options) : this.copy(targetOf(flags.to), flags, options)
    const { copy, report } = await running.finally(progress.end)
    const { streams, events, payloads, problemCount, problems } = report
    // A misspelt name must not look like a log that was found in order.
    if (flags.library !== undefined && streams === 0) throw nothingThere(flags.library, flags.document, flags.until)
    for (const { libraryId, streamId, version, problem, detail } of problems) {
      this.print(`${libraryId}/${streamId} version ${version}: ${problem}: ${detail}`)
    }
    const scope = `${count(events, "event")} in ${count(streams, "stream")}, ${count(payloads, "payload")}`
    const verdict = problemCount === 0 ? "all as written" : count(problemCount, "problem")
    this.print(
      copy === null
        ? `${scope}: ${verdict}.`
        : `Copied ${count(copy.written, "event")} to ${copy.to}, which had ${count(copy.present, "event")} before: ${count(streams, "stream")}, the same at both ends.`
    )
    if (copy !== null && problemCount > 0) {
      this.print(`Without ${count(problemCount, "payload")}: lost, or deleted since by what was not copied.`)
    }
    if (problemCount > 0) process.exitCode = 1
    return { streams, events, payloads, problemCount, problems, copy }
  }

  private async check(database: string, options: ReplayOptions) {
    const { replay } = await import("@sealog/server/admin")
    const { Signatures } = await import("@sealog/server/admin")
    const { provide } = await import("effect/Effect")
    const checking = provide(replay(options), Signatures.layerBatch)
    return { report: await this.executeOn(database, checking), copy: null }
  }

  private async copy(to: string, from: { database: string; verify: boolean }, options: ReplayOptions) {
    if (to === from.database) {
      throw new CliFailure({
        code: "SAME_DATABASE",
        message: "--to is the database that is copied from.",
        exitCode: 2,
        tryThis: "another database"
      })
    }
    const { backendOf } = await import("../backends/storage.ts")
    const backend = await backendOf(to)
    const migrations = await this.execute(backend.readMigrationStatus).catch((error) => {
      const { code, exitCode, message } = failureOf(error)
      throw new CliFailure({ code, exitCode, message: `--to: ${message}`, tryThis: migrateAdvice(backend.label) })
    })
    const missing = migrations.filter(({ applied }) => !applied)
    if (missing.length > 0) {
      throw new CliFailure({
        code: "TARGET_NOT_MIGRATED",
        message: `${backend.label} was not set up for this version: it lacks ${missing.map(({ name }) => name).join(", ")}.`,
        exitCode: 3,
        tryThis: migrateAdvice(backend.label)
      })
    }
    const { copy } = await import("@sealog/server/admin")
    const { Signatures } = await import("@sealog/server/admin")
    const { flatMap, provide, scoped } = await import("effect/Effect")
    const { build } = await import("effect/Layer")
    const copying = flatMap(build(backend.existing), (target) => copy(target, { ...options, verify: from.verify }))
    const signatures = from.verify ? Signatures.layerBatch : Signatures.layerInline
    const report = await this.executeOn(from.database, scoped(provide(copying, signatures)))
    return { report, copy: { to: backend.label, written: report.written, present: report.present } }
  }
}

const targetOf = (to: string): string => (to.startsWith("env:") ? (process.env[to.slice("env:".length)] ?? "") : to)

const migrateAdvice = (label: string): string => `sync-admin migrate --database ${label}`

const untilOf = async (text: string, isDocument: boolean): Promise<Until> => {
  if (/^\d{1,15}$/.test(text)) {
    if (isDocument) return { version: Number(text) }
    throw new CliFailure({
      code: "USAGE",
      message: `--until ${text} is a version, and every document has its own.`,
      exitCode: 2,
      tryThis: "--library and --document as well, or a time such as 2026-01-31T12:00Z or 2h"
    })
  }
  const { timestampOf } = await import("../input/timestamps.ts")
  return { time: timestampOf(text, Date.now()) }
}

const nothingThere = (library: string, document: string | undefined, until: string | undefined): CliFailure => {
  const [code, name] =
    document === undefined
      ? ["NO_SUCH_LIBRARY", `library ${library}`]
      : ["NO_SUCH_DOCUMENT", `document ${library}/${document}`]
  return new CliFailure({
    code,
    message: `The log has no ${name}${until === undefined ? "" : `, or nothing of it up to ${until}`}.`,
    exitCode: 1,
    tryThis: "sync-admin library list"
  })
}
