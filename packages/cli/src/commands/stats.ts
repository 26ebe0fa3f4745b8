import * as Flags from "@oclif/core/flags"
import { BaseCommand } from "../BaseCommand.ts"
import { libraryIdOf } from "../input/ids.ts"
import { targetFlags } from "../input/server.ts"
import { ago, bytes, number, table } from "../output/format.ts"

interface StatsResult {
  readonly libraries: number
  readonly documents: number
  readonly evictedDocuments: number
  readonly events: number
  readonly payloads: number
  readonly payloadBytes: number
  /** The size of the whole log on disk, in bytes; null if the server in --server does not know it. */
  readonly diskBytes: number | null
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
  static override flags = { ...targetFlags, library: Flags.string({ description: "count only this library" }) }

  async run(): Promise<StatsResult> {
    const { flags } = await this.parse(Stats)
    const libraryId = flags.library === undefined ? undefined : libraryIdOf(flags.library)
    const found = await this.administer(flags, ({ statistics }) => statistics(libraryId))
    const evicted =
      found.evictedDocuments === 0 ? "" : `, of which ${number(found.evictedDocuments)} evicted or deleted`
    const facts = [
      ["libraries", number(found.libraries)],
      ["documents", `${number(found.documents)}${evicted}`],
      ["events", number(found.events)],
      ["payloads", `${number(found.payloads)}, ${bytes(found.payloadBytes)}`],
      ["on disk", found.diskBytes === null ? "not known" : bytes(found.diskBytes)],
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
    return found
  }
}
