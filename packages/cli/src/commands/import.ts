import { Flags } from "@oclif/core"
import { BaseCommand } from "../BaseCommand.ts"
import { CliFailure } from "../output/CliFailure.ts"

interface ImportResult {
  readonly streams: number
  readonly events: number
  /** Events that the log lacked and has now. */
  readonly written: number
  /** Events that the log had. */
  readonly present: number
  /** Payloads that were gone without a reason when the log was exported. */
  readonly payloadsMissing: number
}

export default class Import extends BaseCommand<ImportResult> {
  static override description = `Read what \`sync-admin export\` wrote, and store what the log lacks of it.

Every chain value and the hash of every payload is checked before an event is stored; what the log has must be the same. At the first line that is not as it was exported it stops, names the line, and stores neither it nor anything after it. It can be run again: what is stored is skipped. Nobody else should write to these libraries meanwhile.`
  static override examples = [
    "<%= config.bin %> import --input backup.jsonl",
    "gunzip -c notes.jsonl.gz | <%= config.bin %> import --database sqlite:./restored.db"
  ]
  static override flags = {
    input: Flags.string({ description: "the file to read (default: stdin)" })
  }

  async run(): Promise<ImportResult> {
    const { flags } = await this.parse(Import)
    if (flags.input === undefined && process.stdin.isTTY) {
      throw new CliFailure({
        code: "USAGE",
        message: "There is nothing to import: stdin is a terminal.",
        exitCode: 2,
        tryThis: "--input FILE"
      })
    }
    const { importLog } = await import("@sealog/server/admin")
    const { readFrom } = await import("../input/stdin.ts")
    const { count, makeProgress } = await import("../output/format.ts")
    const progress = makeProgress("import (bytes)")
    const { bytes, size } = await readFrom(flags.input)
    // How much there is of a pipe is not known.
    const onProgress = (done: number) => (size === undefined ? undefined : progress.update(done, size))
    const report = await this.executeOn(flags.database, importLog(bytes, onProgress)).finally(progress.end)
    const { events, payloadsMissing, present, streams, written } = report
    this.print(
      `Imported ${count(written, "event")} of ${events.toLocaleString("en")} in ${count(streams, "stream")}; ${present.toLocaleString("en")} ${present === 1 ? "was" : "were"} there.`
    )
    if (payloadsMissing > 0) this.print(`Without ${count(payloadsMissing, "payload")} that the export lacked as well.`)
    return report
  }
}
