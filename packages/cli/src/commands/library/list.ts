import { BaseCommand } from "../../BaseCommand.ts"
import { targetFlags } from "../../input/server.ts"
import { ago, bytes, share, table } from "../../output/format.ts"

interface LibraryListResult {
  readonly libraries: ReadonlyArray<{
    readonly libraryId: string
    readonly streams: number
    readonly events: number
    readonly payloadBytes: number
    /** Milliseconds since 1970. */
    readonly updatedAt: number
    /** null: the stream with the library's own quota is damaged. */
    readonly nearestQuota: { readonly part: string; readonly use: number; readonly atMost: number } | null
  }>
}

export default class LibraryList extends BaseCommand<LibraryListResult> {
  static override summary = "List the libraries."
  static override description =
    "QUOTA is the part of its quota that a library is nearest to, of those that a list knows: documents, events and payload bytes. On a database, a part that no operator set is taken as the default; with --server, as the server's own. `library quota` shows all parts."
  static override examples = ["<%= config.bin %> library list"]
  static override flags = targetFlags

  async run(): Promise<LibraryListResult> {
    const { flags } = await this.parse(LibraryList)
    const all = await this.administer(flags, ({ libraries }) => libraries)
    // Names that start with @ hold the server's own administration.
    const libraries = all.filter(({ libraryId }) => !libraryId.startsWith("@"))
    const rows = libraries.map(({ libraryId, streams, events, payloadBytes, nearestQuota, updatedAt }) => [
      libraryId,
      streams,
      events,
      bytes(payloadBytes),
      nearestQuota === null ? "not known" : `${share(nearestQuota.use, nearestQuota.atMost)} of ${nearestQuota.part}`,
      ago(updatedAt)
    ])
    this.print(
      libraries.length === 0
        ? "No libraries."
        : table(["LIBRARY", "STREAMS", "EVENTS", "SIZE", "QUOTA", "LAST CHANGE"], rows)
    )
    return { libraries }
  }
}
