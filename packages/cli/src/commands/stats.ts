import { Flags } from "@oclif/core"
import type { LibraryId } from "@sealog/server/ports"
import { BaseCommand } from "../BaseCommand.ts"

interface StatsResult {
  readonly libraries: number
  readonly documents: number
  readonly evictedDocuments: number
  readonly events: number
  readonly payloads: number
  readonly payloadBytes: number
  /** The size of the whole log on disk, in bytes. */
  readonly diskBytes: number
  /** Milliseconds since 1970. */
  readonly createdAt: number | null
  readonly updatedAt: number | null
  readonly largestLibraries: ReadonlyArray<{ readonly libraryId: string; readonly payloadBytes: number }>
  readonly largestDocuments: ReadonlyArray<{
    readonly libraryId: string
    readonly documentId: string
    readonly payloadBytes: number
  }>
}

export default class Stats extends BaseCommand<StatsResult> {
  static override summary = "Count libraries, documents, events and payloads, and list the largest."
  static override examples = ["<%= config.bin %> stats", "<%= config.bin %> stats --library notes --json"]
  static override flags = { library: Flags.string({ description: "count only this library" }) }

  async run(): Promise<StatsResult> {
    const { flags } = await this.parse(Stats)
    const { libraryIdOf } = await import("../input/ids.ts")
    const { statistics } = await import("@sealog/server/admin")
    const { backendOf } = await import("../backends/storage.ts")
    const { ago, bytes, number, table } = await import("../output/format.ts")
    const filter: { readonly libraryId?: LibraryId } =
      flags.library === undefined ? {} : { libraryId: libraryIdOf(flags.library) }
    const found = await this.executeOn(flags.database, statistics(filter), filter.libraryId)
    const diskBytes = await this.execute((await backendOf(flags.database)).size)
    const evicted = found.evictedDocuments === 0 ? "" : `, of which ${number(found.evictedDocuments)} evicted`
    const facts = [
      ["libraries", number(found.libraries)],
      ["documents", `${number(found.documents)}${evicted}`],
      ["events", number(found.events)],
      ["payloads", `${number(found.payloads)}, ${bytes(found.payloadBytes)}`],
      ["on disk", bytes(diskBytes)],
      ["first event", found.createdAt === null ? "none" : ago(found.createdAt)],
      ["last change", found.updatedAt === null ? "none" : ago(found.updatedAt)]
    ]
    this.print(facts.map(([name = "", value]) => `${name.padEnd(12)}${value}`).join("\n"))
    if (found.largestDocuments.length > 0) {
      const libraries = found.largestLibraries.map(({ libraryId, payloadBytes }) => [libraryId, bytes(payloadBytes)])
      this.print(`\n${table(["LARGEST LIBRARIES", "SIZE"], libraries)}`)
      const documents = found.largestDocuments.map(({ libraryId, documentId, payloadBytes }) => [
        `${libraryId}/${documentId}`,
        bytes(payloadBytes)
      ])
      this.print(`\n${table(["LARGEST DOCUMENTS", "SIZE"], documents)}`)
    }
    return { ...found, diskBytes }
  }
}
