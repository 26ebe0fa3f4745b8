import { BaseCommand } from "../../BaseCommand.ts"
import { targetFlags } from "../../input/server.ts"

interface LibraryListResult {
  readonly libraries: ReadonlyArray<{
    readonly libraryId: string
    readonly streams: number
    readonly events: number
    readonly payloadBytes: number
    /** Milliseconds since 1970. */
    readonly updatedAt: number
  }>
}

export default class LibraryList extends BaseCommand<LibraryListResult> {
  static override summary = "List the libraries."
  static override examples = ["<%= config.bin %> library list"]
  static override flags = targetFlags

  async run(): Promise<LibraryListResult> {
    const { flags } = await this.parse(LibraryList)
    const { ago, bytes, table } = await import("../../output/format.ts")
    const all = await this.administer(flags, ({ libraries }) => libraries)
    // Names that start with @ hold the server's own administration.
    const libraries = all.filter(({ libraryId }) => !libraryId.startsWith("@"))
    const rows = libraries.map(({ libraryId, streams, events, payloadBytes, updatedAt }) => [
      libraryId,
      streams,
      events,
      bytes(payloadBytes),
      ago(updatedAt)
    ])
    this.print(
      libraries.length === 0 ? "No libraries." : table(["LIBRARY", "STREAMS", "EVENTS", "SIZE", "LAST CHANGE"], rows)
    )
    return { libraries }
  }
}
