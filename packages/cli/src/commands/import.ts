import * as Flags from "@oclif/core/flags"
import { importLog, Signatures } from "@sealog/server/admin"
import { provide } from "effect/Effect"
import { BaseCommand } from "../BaseCommand.ts"
import { readFrom } from "../input/stdin.ts"
import { CliFailure } from "../output/CliFailure.ts"
import { count, makeProgress, number } from "../output/format.ts"

interface ImportResult {
  readonly streams: number
  readonly events: number
  /** Events that this command stored. */
  readonly written: number
  /** Events that the log held before. */
  readonly present: number
  /** Payloads that the export lacks although they were never purged. */
  readonly payloadsMissing: number
  /** Events of the server's own streams, which --with-access takes. */
  readonly leftOut: number
}

export default class Import extends BaseCommand<ImportResult> {
  static override summary = "Store the events of an export that the log lacks."
  static override description =
    `The input is an export by \`sync-admin export\`. Stop other writes to its libraries first. You can run the command again: events that are stored already are skipped.

Each event is judged by the rules that accepted it, as \`sync-admin replay\` does: chain value, payload hash, signature, clocks. Events that are stored already must be the same. At the first line that breaks a rule or differs the command stops, names the line, and stores nothing from there on.

Events of the server itself are left out: revocations on the whole server, and webhooks. They would hold for every library of this log. --with-access takes them.`
  static override examples = [
    "<%= config.bin %> import --input backup.jsonl",
    "gunzip -c notes.jsonl.gz | <%= config.bin %> import --database sqlite:./restored.db"
  ]
  static override flags = {
    input: Flags.string({ description: "file to read (default: stdin)" }),
    "with-access": Flags.boolean({
      description: "take the server's own events, too: revocations on the whole server, and webhooks",
      default: false
    }),
    verify: Flags.boolean({
      description:
        "judge each event by the rules; --no-verify checks chain values and hashes alone, for an export that `sync-admin replay` has verified",
      default: true,
      allowNo: true
    })
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
    const progress = makeProgress("import (bytes)")
    const { bytes, size } = await readFrom(flags.input)
    // The size of a pipe is unknown, so it gets no progress bar.
    const onProgress = (done: number) => (size === undefined ? undefined : progress.update(done, size))
    const options = { onProgress, withAccess: flags["with-access"], verify: flags.verify }
    const importing = provide(importLog(bytes, options), Signatures.layerBatch)
    const report = await this.executeOn(flags.database, importing).finally(progress.end)
    const { events, leftOut, payloadsMissing, present, streams, written } = report
    this.print(
      `Imported ${count(written, "event")} of ${number(events)} in ${count(streams, "stream")}; ${number(present)} ${present === 1 ? "was" : "were"} already there.`
    )
    if (leftOut > 0)
      this.print(
        `Left out ${count(leftOut, "event")} of the server itself: revocations on the whole server, and webhooks. --with-access takes them.`
      )
    if (payloadsMissing > 0)
      this.print(
        `${count(payloadsMissing, "payload")} missing: the export lacks them too, although they were never purged.`
      )
    return report
  }
}
