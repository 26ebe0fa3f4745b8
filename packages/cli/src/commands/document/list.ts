import * as Args from "@oclif/core/args"
import * as Flags from "@oclif/core/flags"
import { BaseCommand } from "../../BaseCommand.ts"
import { libraryIdOf } from "../../input/ids.ts"
import { targetFlags } from "../../input/server.ts"
import { ago, bytes, table, useOf } from "../../output/format.ts"

const ORDERS = ["changed", "size", "events", "name"] as const

interface DocumentListResult {
  readonly libraryId: string
  /** The number of documents in the library; `--limit` may list fewer. */
  readonly total: number
  readonly documents: ReadonlyArray<{
    readonly documentId: string
    readonly version: number
    readonly generation: number
    readonly evicted: boolean
    readonly deleted: boolean
    readonly payloads: number
    readonly payloadBytes: number
    /** Milliseconds since 1970. */
    readonly createdAt: number
    readonly updatedAt: number
    /** The bytes of the quota `documentBytes`. null: it is not known, by an older server, or if the library's own is damaged. */
    readonly documentBytes: { readonly use: number; readonly atMost: number } | null
  }>
}

type Document = DocumentListResult["documents"][number]

export default class DocumentList extends BaseCommand<DocumentListResult> {
  static override summary = "List the Secsync documents of a library."
  static override description =
    "QUOTA is the size of the active snapshot and its updates, and the most that they may have. On a database, a part that no operator set is taken as the default; with --server, as the server's own."
  static override examples = [
    "<%= config.bin %> document list notes",
    "<%= config.bin %> document list notes --sort size --limit 10"
  ]
  static override args = { libraryId: Args.string({ description: "name of the library", required: true }) }
  static override flags = {
    ...targetFlags,
    sort: Flags.option({ options: ORDERS })({
      description: "order: latest change, largest, most events first, or by name",
      default: "changed"
    }),
    limit: Flags.integer({ description: "list at most this many documents", min: 1 })
  }

  async run(): Promise<DocumentListResult> {
    const { args, flags } = await this.parse(DocumentList)
    const libraryId = libraryIdOf(args.libraryId)
    const found = await this.administer(flags, ({ documents }) => documents(libraryId))
    const all = found.map(
      ({
        documentId,
        version,
        generation,
        evicted,
        deleted,
        payloads,
        payloadBytes,
        createdAt,
        updatedAt,
        documentBytes
      }): Document => ({
        ...{
          documentId,
          version,
          generation,
          // An older server does not tell it, and a document that was made again is taken as evicted.
          evicted: evicted ?? (payloads === 0 && generation > 0),
          deleted: deleted ?? false,
          payloads,
          payloadBytes,
          createdAt,
          updatedAt
        },
        documentBytes
      })
    )
    const documents = all.toSorted(comparisons[flags.sort]).slice(0, flags.limit)
    const rows = documents.map(({ deleted, documentBytes, documentId, version, evicted, payloadBytes, updatedAt }) => [
      documentId,
      version,
      deleted ? "deleted" : evicted ? "evicted" : bytes(payloadBytes),
      useOf(documentBytes),
      ago(updatedAt)
    ])
    this.print(
      documents.length === 0
        ? "No Secsync documents."
        : table(["DOCUMENT", "EVENTS", "SIZE", "QUOTA", "LAST CHANGE"], rows)
    )
    if (documents.length < all.length) this.print(`… and ${all.length - documents.length} more.`)
    return { libraryId, total: all.length, documents }
  }
}

const byName = (a: Document, b: Document): number => (a.documentId < b.documentId ? -1 : 1)

const comparisons: Readonly<Record<(typeof ORDERS)[number], (a: Document, b: Document) => number>> = {
  changed: (a, b) => b.updatedAt - a.updatedAt || byName(a, b),
  size: (a, b) => b.payloadBytes - a.payloadBytes || byName(a, b),
  events: (a, b) => b.version - a.version || byName(a, b),
  name: byName
}
