import { Args } from "@oclif/core"
import { BaseCommand } from "../../BaseCommand.ts"
import { CliFailure } from "../../CliFailure.ts"

interface LibraryShowResult {
  readonly libraryId: string
  readonly documents: number
  /** Of those, how many hold no sealed bytes. */
  readonly evictedDocuments: number
  readonly events: number
  readonly payloads: number
  readonly payloadBytes: number
  /** Milliseconds since 1970. */
  readonly createdAt: number
  readonly updatedAt: number
}

export default class LibraryShow extends BaseCommand<LibraryShowResult> {
  static override description = "Show one library: its documents, events and sealed bytes."
  static override examples = ["<%= config.bin %> library show notes"]
  static override args = { libraryId: Args.string({ description: "the library", required: true }) }

  async run(): Promise<LibraryShowResult> {
    const { args, flags } = await this.parse(LibraryShow)
    const { libraryIdOf } = await import("../../names.ts")
    const { showLibrary } = await import("@sealog/server/admin/Documents")
    const { bytes, time } = await import("../../format.ts")
    const libraryId = libraryIdOf(args.libraryId)
    const shown = await this.executeOn(flags.database, showLibrary(libraryId))
    if (shown === undefined) {
      throw new CliFailure({
        code: "NO_SUCH_LIBRARY",
        message: `The log has no library ${libraryId}.`,
        exitCode: 1,
        tryThis: "sync-admin library list"
      })
    }
    const evicted = shown.evictedDocuments === 0 ? "" : `, of which ${shown.evictedDocuments} evicted`
    this.print(
      [
        libraryId,
        `documents   ${shown.documents}${evicted}`,
        `events      ${shown.events}`,
        `payloads    ${shown.payloads}, ${bytes(shown.payloadBytes)}`,
        `created     ${time(shown.createdAt)} UTC`,
        `last change ${time(shown.updatedAt)} UTC`
      ].join("\n")
    )
    return shown
  }
}
