import { Flags } from "@oclif/core"
import { BaseCommand } from "../BaseCommand.ts"
import { CliFailure } from "../output/CliFailure.ts"
import type { OutputClosed, Write } from "../output/stream.ts"

interface ExportResult {
  readonly streams: number
  readonly events: number
  readonly payloads: number
  readonly payloadBytes: number
  /** Payloads that are gone though nothing evicted or pruned them; all else was exported. */
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
  static override description = `Write the log, or a library of it, as JSON lines.

A header, a line for every event with its payload in base64 (null when it was deleted), and a last line by which an export that was cut off is known. Versions, chain values and the hashes of payloads are checked on the way; exit code 1 when anything is off. A running server may go on meanwhile. A file is there once it is whole.

The lines take stdout unless --output names a file: then what the command says, also with --json, goes to stderr. Revocations that name no library are exported only with the whole log.`
  static override examples = [
    "<%= config.bin %> export --output backup.jsonl",
    "<%= config.bin %> export --library notes | gzip > notes.jsonl.gz",
    "<%= config.bin %> export | <%= config.bin %> import --database postgres://sealog@localhost/sealog"
  ]
  static override flags = {
    library: Flags.string({ description: "only this library" }),
    output: Flags.string({ description: "the file to write (default: stdout)" })
  }

  private isStdoutTaken = true

  async run(): Promise<ExportResult> {
    const { flags } = await this.parse(Export)
    this.isStdoutTaken = flags.output === undefined
    const { libraryIdOf } = await import("../input/ids.ts")
    const { exportLog } = await import("@sealog/server/admin")
    const { writeFile, writeTo } = await import("../output/stream.ts")
    const { backendOf } = await import("../backends/storage.ts")
    const { bytes, count, makeProgress } = await import("../output/format.ts")
    const Effect = await import("effect/Effect")
    const progress = makeProgress("export")
    const { existing } = await backendOf(flags.database)
    const options = {
      ...(flags.library === undefined ? {} : { libraryId: libraryIdOf(flags.library) }),
      onProgress: progress.update
    }
    const exportTo = (write: Write) => Effect.provide(exportLog(write, options), existing)
    const exporting = flags.output === undefined ? exportTo(writeTo(process.stdout)) : writeFile(flags.output, exportTo)
    const report = await this.execute(
      Effect.catchTags(exporting, {
        OutputClosed: (error) => Effect.fail(notWritten(error, flags.output)),
        NoSuchStream: () => Effect.fail(noSuchLibrary(`${flags.library}`))
      })
    ).finally(progress.end)
    const { events, payloadBytes, problemCount, problems, streams } = report
    for (const { libraryId, streamId, version, problem, detail } of problems) {
      this.say(`${libraryId}/${streamId} version ${version}: ${problem}: ${detail}`)
    }
    this.say(
      `Exported ${count(events, "event")} in ${count(streams, "stream")}, ${bytes(payloadBytes)} of sealed bytes${problemCount === 0 ? "" : `, without ${count(problemCount, "payload")} that should be there`}.`
    )
    if (problemCount > 0) process.exitCode = 1
    return report
  }

  private say(text: string): void {
    if (this.isStdoutTaken && !this.jsonEnabled()) process.stderr.write(`${text}\n`)
    else this.print(text)
  }

  override logJson(json: unknown): void {
    if (this.isStdoutTaken) process.stderr.write(`${JSON.stringify(json, null, 2)}\n`)
    else super.logJson(json)
  }
}

const notWritten = ({ byReader, reason }: OutputClosed, file: string | undefined): CliFailure =>
  new CliFailure({
    code: "OUTPUT_FAILED",
    message: byReader
      ? "Whoever reads the export went away before its end."
      : `The export cannot be written: ${reason}`,
    exitCode: 1,
    tryThis: file === undefined ? "--output FILE" : "a file that this user can write, on a disk with room for it"
  })

const noSuchLibrary = (library: string): CliFailure =>
  new CliFailure({
    code: "NO_SUCH_LIBRARY",
    message: `The log has no library ${library}.`,
    exitCode: 1,
    tryThis: "sync-admin library list"
  })
