import * as Args from "@oclif/core/args"
import type { LibraryId } from "@sealog/server/ports"
import { BaseCommand } from "../../BaseCommand.ts"
import type { Document } from "../../backends/administration/Administration.ts"
import { documentIdOf, libraryIdOf, possibleDocumentId } from "../../input/ids.ts"
import { targetFlags } from "../../input/server.ts"
import type { VerdantName } from "../../input/verdantIds.ts"
import { verdantNameOf } from "../../input/verdantIds.ts"
import { bytes, jsonText, time, useOf } from "../../output/format.ts"
import { noSuchDocument } from "../../output/notFound.ts"
import { shellWord } from "../../output/shellWord.ts"

interface DocumentShowResult {
  readonly libraryId: string
  readonly documentId: string
  readonly version: number
  readonly generation: number
  readonly chain: string
  readonly activeSnapshotId: string | null
  readonly evictedSnapshotId: string | null
  readonly deleted: boolean
  /** The number of updates since the active snapshot. */
  readonly updates: number
  /** The last clock of each author since then. */
  readonly clocks: Readonly<Record<string, number>>
  readonly payloads: number
  readonly payloadBytes: number
  /** Milliseconds since 1970. */
  readonly createdAt: number
  readonly updatedAt: number
  /** The bytes of the quota `documentBytes`. null: it is not known, by an older server, or if the library's own is damaged. */
  readonly documentBytes: { readonly use: number; readonly atMost: number } | null
}

interface VerdantDocument {
  readonly libraryId: string
  readonly collection: string
  readonly documentId: string
  /** The document as its users see it, also if it is private. */
  readonly snapshot: unknown
}

type Flags = { readonly database: string; readonly server: string | undefined }

export default class DocumentShow extends BaseCommand<DocumentShowResult | VerdantDocument> {
  static override summary = "Show one document."
  static override description =
    `For a Secsync document: version, chain value, active snapshot, authors' clocks and size. Its content is encrypted.

For a Verdant document, named COLLECTION/ID: its content as JSON, as its users see it. Private documents are shown too. A Secsync document of the same name goes first.`
  static override examples = [
    "<%= config.bin %> document show notes welcome",
    "<%= config.bin %> document show groceries item/42"
  ]
  static override args = {
    libraryId: Args.string({ description: "name of the library", required: true }),
    documentId: Args.string({
      description: "name of the document, or COLLECTION/ID of a Verdant document",
      required: true
    })
  }
  static override flags = targetFlags

  async run(): Promise<DocumentShowResult | VerdantDocument> {
    const { args, flags } = await this.parse(DocumentShow)
    const libraryId = libraryIdOf(args.libraryId)
    const documentId = possibleDocumentId(args.documentId)
    const shown =
      documentId === undefined
        ? undefined
        : await this.administer(flags, ({ document }) => document(libraryId, documentId))
    if (documentId !== undefined && shown !== undefined) return this.printSecsync(libraryId, shown)
    const name = verdantNameOf(args.documentId)
    if (name !== undefined) return this.showVerdant(flags, libraryId, name)
    throw noSuchDocument(libraryId, documentIdOf(args.documentId))
  }

  private async showVerdant(flags: Flags, libraryId: LibraryId, { collection, id }: VerdantName) {
    const snapshot = await this.administer(flags, ({ verdantDocument }) => verdantDocument(libraryId, collection, id))
    if (snapshot === undefined) {
      throw noSuchDocument(libraryId, `${collection}/${id}`, `sync-admin library show ${shellWord(libraryId)}`)
    }
    this.print(jsonText(snapshot))
    return { libraryId, collection, documentId: id, snapshot }
  }

  private async printSecsync(libraryId: LibraryId, { documentId, ...shown }: Document) {
    // An older server does not tell the two apart.
    const deleted = shown.deleted ?? (shown.evicted === true && shown.evictedSnapshotId === null)
    const state =
      shown.activeSnapshotId !== null
        ? `snapshot ${shown.activeSnapshotId}`
        : shown.evictedSnapshotId !== null
          ? `evicted at snapshot ${shown.evictedSnapshotId}`
          : deleted
            ? "deleted"
            : "no snapshot"
    this.print(
      [
        `${libraryId}/${documentId}`,
        `version     ${shown.version}, generation ${shown.generation}`,
        `chain       ${shown.chain}`,
        `state       ${state}`,
        `updates     ${shown.updates}`,
        ...Object.entries(shown.clocks).map(([pubKey, clock]) => `  ${pubKey}  clock ${clock}`),
        `payloads    ${shown.payloads}, ${bytes(shown.payloadBytes)}`,
        `quota       ${useOf(shown.documentBytes)}`,
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
      activeSnapshotId: shown.activeSnapshotId,
      evictedSnapshotId: shown.evictedSnapshotId,
      deleted,
      updates: shown.updates,
      clocks: shown.clocks,
      payloads: shown.payloads,
      payloadBytes: shown.payloadBytes,
      createdAt: shown.createdAt,
      updatedAt: shown.updatedAt,
      documentBytes: shown.documentBytes
    } satisfies DocumentShowResult
  }
}
