import { Flags } from "@oclif/core"
import { BaseCommand } from "../BaseCommand.ts"
import { CliFailure } from "../CliFailure.ts"

interface ReplayResult {
  readonly streams: number
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
}

export default class Replay extends BaseCommand<ReplayResult> {
  static override description = `Fold the whole log again and check every event of it.

Versions, the chain of hashes, the hash and signature of every payload that is still there, clocks, parents and parent proofs. Exit code 1 and a line for each problem when anything is off. A running server may go on meanwhile.`
  static override examples = ["<%= config.bin %> replay", "<%= config.bin %> replay --library notes --json"]
  static override flags = {
    library: Flags.string({ description: "only this library" }),
    document: Flags.string({ description: "only this document", dependsOn: ["library"] })
  }

  async run(): Promise<ReplayResult> {
    const { flags } = await this.parse(Replay)
    const { documentIdOf, libraryIdOf } = await import("../names.ts")
    const { replay } = await import("@sealog/server/admin/Replay")
    const { count, makeProgress } = await import("../format.ts")
    const progress = makeProgress("replay")
    const options = {
      ...(flags.library === undefined ? {} : { libraryId: libraryIdOf(flags.library) }),
      ...(flags.document === undefined ? {} : { documentId: documentIdOf(flags.document) }),
      onProgress: progress.update
    }
    const report = await this.executeOn(flags.database, replay(options)).finally(progress.end)
    // A misspelt name must not look like a log that was found in order.
    if (flags.library !== undefined && report.streams === 0) {
      const [code, name] =
        flags.document === undefined
          ? ["NO_SUCH_LIBRARY", `library ${flags.library}`]
          : ["NO_SUCH_DOCUMENT", `document ${flags.library}/${flags.document}`]
      throw new CliFailure({
        code,
        message: `The log has no ${name}.`,
        exitCode: 1,
        tryThis: "sync-admin library list"
      })
    }
    for (const { libraryId, streamId, version, problem, detail } of report.problems) {
      this.print(`${libraryId}/${streamId} version ${version}: ${problem}: ${detail}`)
    }
    const scope = `${count(report.events, "event")} in ${count(report.streams, "stream")}, ${count(report.payloads, "payload")}`
    this.print(
      report.problemCount === 0 ? `${scope}: all as written.` : `${scope}: ${count(report.problemCount, "problem")}.`
    )
    if (report.problemCount > 0) process.exitCode = 1
    return report
  }
}
