import * as Args from "@oclif/core/args"
import { all } from "effect/Effect"
import { BaseCommand } from "../../BaseCommand.ts"
import { millisOf } from "../../backends/readVerdant.ts"
import { libraryIdOf } from "../../input/ids.ts"
import { targetFlags } from "../../input/server.ts"
import { bytes, count, number, time } from "../../output/format.ts"

interface LibraryShowResult {
  readonly libraryId: string
  readonly documents: number
  /** The number of documents whose payloads were purged. */
  readonly evictedDocuments: number
  readonly events: number
  readonly payloads: number
  readonly payloadBytes: number
  /** Milliseconds since 1970. */
  readonly createdAt: number
  readonly updatedAt: number
  /** True if the library is closed to clients until `sync-admin resume`. */
  readonly suspended: boolean
  /** The library's Verdant data; null if it has none. */
  readonly verdant: VerdantPart | null
}

interface VerdantPart {
  readonly replicas: number
  /** The number of replicas that the server does not wait for. */
  readonly truantReplicas: number
  /** Objects and lists, compacted up to the watermark. */
  readonly baselines: number
  /** Operations that are not compacted yet. */
  readonly operations: number
  /** The server may compact older operations. A Verdant timestamp. */
  readonly watermark: string | null
  /** The milliseconds since 1970 in the watermark. */
  readonly watermarkAt: number | null
  readonly files: number
  readonly fileBytes: number
}

export default class LibraryShow extends BaseCommand<LibraryShowResult> {
  static override summary = "Show one library: documents, events, payloads and Verdant data."
  static override examples = ["<%= config.bin %> library show notes"]
  static override args = { libraryId: Args.string({ description: "name of the library", required: true }) }
  static override flags = targetFlags

  async run(): Promise<LibraryShowResult> {
    const { args, flags } = await this.parse(LibraryShow)
    const libraryId = libraryIdOf(args.libraryId)
    const [shown, info] = await this.administer(flags, ({ library, verdant }) =>
      all([library(libraryId), verdant(libraryId)])
    )
    const evicted = shown.evictedDocuments === 0 ? "" : `, of which ${shown.evictedDocuments} evicted or deleted`
    this.print(
      [
        shown.suspended ? `${libraryId} (suspended)` : libraryId,
        `documents   ${shown.documents}${evicted}`,
        `events      ${shown.events}`,
        `payloads    ${shown.payloads}, ${bytes(shown.payloadBytes)}`,
        `created     ${time(shown.createdAt)} UTC`,
        `last change ${time(shown.updatedAt)} UTC`
      ].join("\n")
    )
    const verdant: VerdantPart | null =
      info === undefined
        ? null
        : {
            replicas: info.replicas.length,
            truantReplicas: info.replicas.filter(({ truant }) => truant).length,
            baselines: info.baselines,
            operations: info.operations,
            watermark: info.watermark,
            watermarkAt: millisOf(info.watermark),
            files: info.files.length,
            fileBytes: info.files.reduce((sum, { size }) => sum + size, 0)
          }
    if (verdant !== null) {
      const truant = verdant.truantReplicas === 0 ? "" : `, of which ${number(verdant.truantReplicas)} truant`
      const { watermarkAt } = verdant
      this.print(
        [
          "",
          "Verdant",
          `replicas    ${number(verdant.replicas)}${truant}`,
          `operations  ${number(verdant.operations)} on ${count(verdant.baselines, "baseline")}`,
          `watermark   ${watermarkAt === null ? "not known yet" : `${time(watermarkAt)} UTC`}`,
          `files       ${number(verdant.files)}, ${bytes(verdant.fileBytes)}`
        ].join("\n")
      )
    }
    return { ...shown, verdant }
  }
}
