import { Args } from "@oclif/core"
import { BaseCommand } from "../../BaseCommand.ts"
import { noSuchLibrary } from "../../output/notFound.ts"

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
  /** What Verdant's clients keep there; null: nothing. */
  readonly verdant: VerdantPart | null
}

interface VerdantPart {
  readonly replicas: number
  /** Of those, how many are not waited for. */
  readonly truantReplicas: number
  /** Objects and lists as they were folded, and operations that are not folded yet. */
  readonly baselines: number
  readonly operations: number
  /** Older operations may be folded: Verdant's timestamp, and the milliseconds since 1970 in it. */
  readonly watermark: string | null
  readonly watermarkAt: number | null
  readonly files: number
  readonly fileBytes: number
}

export default class LibraryShow extends BaseCommand<LibraryShowResult> {
  static override description =
    "Show one library: its documents, events and sealed bytes, and what Verdant's clients keep."
  static override examples = ["<%= config.bin %> library show notes"]
  static override args = { libraryId: Args.string({ description: "the library", required: true }) }

  async run(): Promise<LibraryShowResult> {
    const { args, flags } = await this.parse(LibraryShow)
    const { libraryIdOf } = await import("../../input/ids.ts")
    const { showLibrary } = await import("@sealog/server/admin")
    const { isSuspended } = await import("@sealog/server/admin")
    const { libraryInfo } = await import("@sealog/server/admin")
    const { millisOf, reading } = await import("../../backends/readVerdant.ts")
    const { bytes, count, number, time } = await import("../../output/format.ts")
    const libraryId = libraryIdOf(args.libraryId)
    const { all } = await import("effect/Effect")
    const [shown, suspended, info] = await this.executeOn(
      flags.database,
      all([showLibrary(libraryId), isSuspended(libraryId), reading(libraryId, libraryInfo(libraryId))])
    )
    if (shown === undefined) throw noSuchLibrary(libraryId)
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
    return { ...shown, suspended, verdant }
  }
}
