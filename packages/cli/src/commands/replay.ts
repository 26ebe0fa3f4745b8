import * as Flags from "@oclif/core/flags"
import type { ReplayOptions, Until } from "@sealog/server/admin"
import { checkSince, copy, replay, Signatures } from "@sealog/server/admin"
import { flatMap, map, provide, scoped } from "effect/Effect"
import { build } from "effect/Layer"
import { BaseCommand } from "../BaseCommand.ts"
import { copyTargetOf, requireMigrated } from "../backends/copyTarget.ts"
import { verifierOf } from "../input/checkpointKeys.ts"
import { documentIdOf, libraryIdOf } from "../input/ids.ts"
import { timestampOf } from "../input/timestamps.ts"
import { CliFailure } from "../output/CliFailure.ts"
import { count, makeProgress } from "../output/format.ts"
import { noSuchLibrary } from "../output/notFound.ts"
import { shellWord } from "../output/shellWord.ts"

interface ReplayResult {
  readonly streams: number
  /** Events that were read and verified. */
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
  /** null without `--to`. */
  readonly copy: {
    /** The URL of the target, without its password. */
    readonly to: string
    /** Events that this command copied. */
    readonly written: number
    /** Events that the target held before. */
    readonly present: number
  } | null
}

export default class Replay extends BaseCommand<ReplayResult> {
  static override summary = "Verify every event of the log, or copy the log to another database."
  static override description =
    `Servers can keep running. The command checks versions, the hash chain, the hash and signature of every payload that is not purged, clocks, parents and parent proofs. It prints a line per problem, and exits with 1 if there is any.

For Secsync, it checks that the rules accept each event after the events before it. For Verdant, it checks that too, as far as the log shows what the server knew. It cannot check whether a replica needed a reset, sent operations too late, had made the recorded progress, or was silent for too long, nor whether a file was deleted too early.

With --to it copies the events that the target lacks. Migrate the target first, and let no server write to it. A copy that was interrupted continues when you run the command again. At the end every stream has the same chain value in both databases. Revocations for all libraries are copied only with the whole log.

With --since it also checks that every stream continues the newest signed checkpoint in that folder, and names those that do not. The chain alone shows a change that was made within a stream; a checkpoint, kept where the database's owner cannot write, also shows a stream whose chain was computed again, and one that was removed.

A copy checks versions, chain values and payload hashes; --verify adds the other checks. It stops at the first damaged event of a stream, before copying it.`
  static override examples = [
    "<%= config.bin %> replay",
    "<%= config.bin %> replay --library notes --json",
    "<%= config.bin %> replay --library notes --document welcome --until 120",
    "<%= config.bin %> replay --since ./checkpoints --verifier <verifier>",
    "<%= config.bin %> replay --to sqlite:./copy.db",
    "<%= config.bin %> replay --to env:NEW_DATABASE_URL",
    "<%= config.bin %> replay --until 2h --to sqlite:./two-hours-ago.db --verify"
  ]
  static override flags = {
    library: Flags.string({ description: "verify or copy only this library" }),
    document: Flags.string({ description: "verify or copy only this document", dependsOn: ["library"] }),
    until: Flags.string({
      description:
        "stop each stream at this time (2026-01-31T12:00Z, or 30s, 15m, 2h, 7d ago), or with --document at this version"
    }),
    verify: Flags.boolean({
      description: "with --to, run every check on the copied streams, from their first event (without --to: always)",
      default: false
    }),
    since: Flags.string({
      description: "folder of signed checkpoints: check that the log continues the newest one",
      exclusive: ["to", "until", "library"],
      dependsOn: ["verifier"]
    }),
    verifier: Flags.string({
      description: "public key of the checkpoints: NAME+HASH+KEY, as `checkpoint key` prints it",
      env: "SEALOG_CHECKPOINT_VERIFIER"
    }),
    to: Flags.string({
      description:
        "database to copy to: sqlite:PATH, postgres://…, or env:NAME to read the URL from a variable and hide its password"
    })
  }

  async run(): Promise<ReplayResult> {
    const { flags } = await this.parse(Replay)
    const progress = makeProgress(flags.to === undefined ? "replay" : "copy")
    const options = {
      ...(flags.library === undefined ? {} : { libraryId: libraryIdOf(flags.library) }),
      ...(flags.document === undefined ? {} : { documentId: documentIdOf(flags.document) }),
      ...(flags.until === undefined ? {} : { until: await untilOf(flags.until, flags.document !== undefined) }),
      onProgress: progress.update
    }
    const running = flags.to === undefined ? this.check(flags, options) : this.copy(flags.to, flags, options)
    const { copy, report } = await running.finally(progress.end)
    const { streams, events, payloads, problemCount, problems } = report
    // Without this, a misspelt name would look like a log without problems.
    if (flags.library !== undefined && streams === 0) throw notFound(flags.library, flags.document, flags.until)
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
      this.print(`${count(problemCount, "payload")} not copied: missing, or purged by an event that was not copied.`)
    }
    if (problemCount > 0) process.exitCode = 1
    return { streams, events, payloads, problemCount, problems, copy }
  }

  private async check(
    flags: { database: string; since: string | undefined; verifier: string | undefined },
    options: ReplayOptions
  ) {
    const checking = provide(replay(options), Signatures.layerBatch)
    if (flags.since === undefined) {
      return { report: await this.executeOn(flags.database, checking, options.libraryId), copy: null }
    }
    const since = checkSince(flags.since, verifierOf(flags.verifier))
    const broken = await this.executeOn(
      flags.database,
      map(since, (problems) => ({ problems }))
    )
    const report = await this.executeOn(flags.database, checking)
    const problems = [...broken.problems, ...report.problems]
    return { report: { ...report, problems, problemCount: report.problemCount + broken.problems.length }, copy: null }
  }

  private async copy(to: string, from: { database: string; verify: boolean }, options: ReplayOptions) {
    const backend = await copyTargetOf(to, from.database)
    await requireMigrated(backend, this.execute(backend.readMigrationStatus))
    const copying = flatMap(build(backend.existing), (target) => copy(target, { ...options, verify: from.verify }))
    const signatures = from.verify ? Signatures.layerBatch : Signatures.layerInline
    const report = await this.executeOn(from.database, scoped(provide(copying, signatures)))
    return { report, copy: { to: backend.label, written: report.written, present: report.present } }
  }
}

const untilOf = async (text: string, isDocument: boolean): Promise<Until> => {
  if (/^\d{1,15}$/.test(text)) {
    if (isDocument) return { version: Number(text) }
    throw new CliFailure({
      code: "USAGE",
      message: `--until ${text} is a version, and each document counts its own versions.`,
      exitCode: 2,
      tryThis: "add --library and --document, or use a time such as 2026-01-31T12:00Z or 2h"
    })
  }
  return { time: timestampOf(text, Date.now()) }
}

const notFound = (library: string, document: string | undefined, until: string | undefined): CliFailure => {
  if (document === undefined && until === undefined) return noSuchLibrary(library)
  const [code, name] =
    document === undefined
      ? ["NO_SUCH_LIBRARY", `library ${library}`]
      : ["NO_SUCH_DOCUMENT", `document ${library}/${document}`]
  return new CliFailure({
    code,
    message: `The log has no ${name}${until === undefined ? "" : `, or no event of it up to ${until}`}.`,
    exitCode: 1,
    tryThis:
      document === undefined
        ? `sync-admin events ${shellWord(library)}`
        : `sync-admin document list ${shellWord(library)}`
  })
}
