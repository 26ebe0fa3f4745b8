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
  /** Closed to everybody until `sync-admin resume`. */
  readonly suspended: boolean
}

export default class LibraryShow extends BaseCommand<LibraryShowResult> {
  static override description = "Show one library: its documents, events and sealed bytes."
  static override examples = ["<%= config.bin %> library show notes"]
  static override args = { libraryId: Args.string({ description: "the library", required: true }) }

  async run(): Promise<LibraryShowResult> {
    const { args, flags } = await this.parse(LibraryShow)
    const { libraryIdOf } = await import("../../names.ts")
    const { showLibrary } = await import("@sealog/server/admin/Documents")
    const { isSuspended } = await import("@sealog/server/admin/Exclusion")
    const { bytes, time } = await import("../../format.ts")
    const libraryId = libraryIdOf(args.libraryId)
    const { all } = await import("effect/Effect")
    const [shown, suspended] = await this.executeOn(
      flags.database,
      all([showLibrary(libraryId), isSuspended(libraryId)])
    )
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
        suspended ? `${libraryId} (suspended)` : libraryId,
        `documents   ${shown.documents}${evicted}`,
        `events      ${shown.events}`,
        `payloads    ${shown.payloads}, ${bytes(shown.payloadBytes)}`,
        `created     ${time(shown.createdAt)} UTC`,
        `last change ${time(shown.updatedAt)} UTC`
      ].join("\n")
    )
    return { ...shown, suspended }
  }
}
