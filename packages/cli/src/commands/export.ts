import * as Flags from "@oclif/core/flags"
import { exportLog } from "@sealog/server/admin"
import * as Effect from "effect/Effect"
import { BaseCommand } from "../BaseCommand.ts"
import { backendOf } from "../backends/storage.ts"
import { libraryIdOf } from "../input/ids.ts"
import { CliFailure } from "../output/CliFailure.ts"
import { bytes, count, escapeControls, jsonText, makeProgress } from "../output/format.ts"
import { noSuchLibrary } from "../output/notFound.ts"
import type { OutputClosed, Write } from "../output/stream.ts"
import { writeFile, writeTo } from "../output/stream.ts"

interface ExportResult {
  readonly streams: number
  readonly events: number
  readonly payloads: number
  readonly payloadBytes: number
  /** Payloads that are missing although they were never purged. Everything else was exported. */
  readonly problemCount: number
  readonly problems: ReadonlyArray<{
    readonly libraryId: string
    readonly streamId: string
    readonly version: number
    readonly problem: string
    readonly detail: string
  }>
}

export default class Export extends BaseCommand<ExportResult> {
  static override summary = "Write the log, or one library of it, as JSON lines."
  static override description =
    `Servers can keep running. The export holds a header, a line per event with its payload in base64 (null if it was purged), and a last line that marks the end, so \`sync-admin import\` detects an export that was cut off.

Versions, chain values and payload hashes are checked on the way. Exit code 1 if the log is damaged, or if payloads are missing that were never purged.

Without --output the lines go to stdout, and the report goes to stderr, also with --json. With --output the file is replaced only when the export is complete. Revocations for all libraries are exported only with the whole log.`
  static override examples = [
    "<%= config.bin %> export --output backup.jsonl",
    "<%= config.bin %> export --library notes | gzip > notes.jsonl.gz",
    "<%= config.bin %> export | <%= config.bin %> import --database postgres://sealog@localhost/sealog"
  ]
  static override flags = {
    library: Flags.string({ description: "export only this library" }),
    output: Flags.string({ description: "file to write (default: stdout)" })
  }

  private isStdoutTaken = true

  async run(): Promise<ExportResult> {
    const { flags } = await this.parse(Export)
    this.isStdoutTaken = flags.output === undefined
    const progress = makeProgress("export")
    const { existing } = await backendOf(flags.database)
    const options = {
      ...(flags.library === undefined ? {} : { libraryId: libraryIdOf(flags.library) }),
      onProgress: progress.update
    }
    const exportTo = (write: Write) => Effect.provide(exportLog(write, options), existing)
    const toStdout = writeTo(process.stdout)
    // JSON means the same with its invisible characters escaped.
    const write: Write = process.stdout.isTTY ? (text) => toStdout(escapeControls(text)) : toStdout
    const exporting = flags.output === undefined ? exportTo(write) : writeFile(flags.output, exportTo)
    const report = await this.execute(
      Effect.catchTags(exporting, {
        OutputClosed: (error) => Effect.fail(notWritten(error, flags.output)),
        NoSuchStream: () => Effect.fail(noSuchLibrary(`${flags.library}`))
      })
    ).finally(progress.end)
    const { events, payloadBytes, problemCount, problems, streams } = report
    for (const { libraryId, streamId, version, problem, detail } of problems) {
      this.report(`${libraryId}/${streamId} version ${version}: ${problem}: ${detail}`)
    }
    this.report(
      `Exported ${count(events, "event")} in ${count(streams, "stream")}, ${bytes(payloadBytes)} of payloads${problemCount === 0 ? "" : `; ${count(problemCount, "payload")} missing that were never purged`}.`
    )
    if (problemCount > 0) process.exitCode = 1
    return report
  }

  private report(text: string): void {
    if (this.isStdoutTaken && !this.jsonEnabled()) process.stderr.write(`${escapeControls(text)}\n`)
    else this.print(text)
  }

  override logJson(json: unknown): void {
    if (this.isStdoutTaken) process.stderr.write(`${jsonText(json)}\n`)
    else super.logJson(json)
  }
}

const notWritten = ({ byReader, reason }: OutputClosed, file: string | undefined): CliFailure =>
  new CliFailure({
    code: "OUTPUT_FAILED",
    message: byReader
      ? "The reader closed the pipe before the end of the export."
      : `The export cannot be written: ${reason}`,
    exitCode: 1,
    tryThis: file === undefined ? "--output FILE" : "use a file that this user can write, on a disk with enough room"
  })
