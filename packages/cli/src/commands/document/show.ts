import { Args } from "@oclif/core"
import { BaseCommand } from "../../BaseCommand.ts"
import { CliFailure } from "../../CliFailure.ts"

interface DocumentShowResult {
  readonly libraryId: string
  readonly documentId: string
  readonly version: number
  readonly generation: number
  readonly chain: string
  readonly activeSnapshotId: string | null
  readonly evictedSnapshotId: string | null
  /** Updates since the active snapshot, and the last clock of each author. */
  readonly updates: number
  readonly clocks: Readonly<Record<string, number>>
  readonly payloads: number
  readonly payloadBytes: number
  /** Milliseconds since 1970. */
  readonly createdAt: number
  readonly updatedAt: number
}

export default class DocumentShow extends BaseCommand<DocumentShowResult> {
  static override description = "Show one document: where its stream ends, its snapshot, its authors' clocks."
  static override examples = ["<%= config.bin %> document show notes welcome"]
  static override args = {
    libraryId: Args.string({ description: "the library", required: true }),
    documentId: Args.string({ description: "the document", required: true })
  }

  async run(): Promise<DocumentShowResult> {
    const { args, flags } = await this.parse(DocumentShow)
    const { documentIdOf, libraryIdOf } = await import("../../names.ts")
    const { showDocument } = await import("@sealog/server/admin/Documents")
    const { bytes, time } = await import("../../format.ts")
    const [libraryId, documentId] = [libraryIdOf(args.libraryId), documentIdOf(args.documentId)]
    const shown = await this.executeOn(flags.database, showDocument(libraryId, documentId))
    if (shown === undefined) {
      throw new CliFailure({
        code: "NO_SUCH_DOCUMENT",
        message: `The library ${libraryId} has no document ${documentId}.`,
        exitCode: 1,
        tryThis: "sync-admin library list"
      })
    }
    const state =
      shown.activeSnapshotId === undefined
        ? `evicted at snapshot ${shown.evictedSnapshotId}`
        : `snapshot ${shown.activeSnapshotId}`
    this.print(
      [
        `${libraryId}/${documentId}`,
        `version     ${shown.version}, generation ${shown.generation}`,
        `chain       ${shown.chain}`,
        `state       ${state}`,
        `updates     ${shown.updates}`,
        ...Object.entries(shown.clocks).map(([pubKey, clock]) => `  ${pubKey}  clock ${clock}`),
        `payloads    ${shown.payloads}, ${bytes(shown.payloadBytes)}`,
        `created     ${time(shown.createdAt)} UTC`,
        `last change ${time(shown.updatedAt)} UTC`
      ].join("\n")
    )
    return {
      libraryId,
      documentId,
      version: shown.version,
      generation: shown.generation,
      chain: shown.chain,
      activeSnapshotId: shown.activeSnapshotId ?? null,
      evictedSnapshotId: shown.evictedSnapshotId ?? null,
      updates: shown.updates,
      clocks: shown.clocks,
      payloads: shown.payloads,
      payloadBytes: shown.payloadBytes,
      createdAt: shown.createdAt,
      updatedAt: shown.updatedAt
    }
  }
}
