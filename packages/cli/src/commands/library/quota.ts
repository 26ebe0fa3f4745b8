import * as Args from "@oclif/core/args"
import * as Flags from "@oclif/core/flags"
import type { Quota, QuotaChange } from "@sealog/server/admin"
import { defaultQuota, QUOTA_PARTS } from "@sealog/server/admin"
import { gen } from "effect/Effect"
import { BaseCommand } from "../../BaseCommand.ts"
import type { QuotaUse } from "../../backends/administration/Administration.ts"
import { libraryIdOf } from "../../input/ids.ts"
import { newLibraryFlag } from "../../input/newLibrary.ts"
import { attributionOf, operatorFlags } from "../../input/operator.ts"
import { isSize } from "../../input/quotas.ts"
import { targetFlags } from "../../input/server.ts"
import { sizeOf } from "../../input/sizes.ts"
import { CliFailure } from "../../output/CliFailure.ts"
import { bytes, number, table } from "../../output/format.ts"

type Parts = Readonly<Record<keyof Quota, number | null>>

interface LibraryQuotaResult {
  readonly libraryId: string
  /** False if no flag was given, or the library had this quota before. */
  readonly changed: boolean
  /** The parts that an operator set. null: the server's own, which is the default unless the server was started with another. */
  readonly quota: Parts
  /** The quota in force on the server of `--server`. null: on a database, where each server has its own. */
  readonly atMost: Parts | null
  /** The use of the Verdant data, the number of Secsync documents, and the events and payloads of all together. */
  readonly use: QuotaUse
}

export default class LibraryQuota extends BaseCommand<LibraryQuotaResult> {
  static override summary = "Show or set how much a library may hold."
  static override description =
    `A library that has reached its quota takes no more, and goes on with reads, changes within it and deletions. Nothing that it holds is deleted. Every server holds a change within a second, and clients stay connected.

Without flags the command shows the quota, and the library's use of it. A part that is not set is the server's own: with --server, as that server has it; on a database, the default is shown.

A Verdant client is not told which of its changes were refused, and does not send them again. They stay on its device.`
  static override examples = [
    "<%= config.bin %> library quota notes",
    "<%= config.bin %> library quota notes --objects 200000 --bytes 128MiB",
    "<%= config.bin %> library quota notes --default"
  ]
  static override args = { libraryId: Args.string({ description: "name of the library", required: true }) }
  static override flags = {
    ...targetFlags,
    ...operatorFlags,
    ...newLibraryFlag,
    objects: Flags.integer({ description: "objects and lists in Verdant documents (default: 100,000)", min: 0 }),
    operations: Flags.integer({ description: "operations that are not compacted yet (default: 200,000)", min: 0 }),
    bytes: Flags.string({ description: "size of the Verdant data, such as 128MiB (default: 64MiB)" }),
    replicas: Flags.integer({ description: "replicas that the library remembers (default: 10,000)", min: 0 }),
    files: Flags.integer({ description: "files of Verdant clients (default: 10,000)", min: 0 }),
    "file-bytes": Flags.string({ description: "size of those files together (default: 10GiB)" }),
    documents: Flags.integer({ description: "Secsync documents, also evicted ones (default: 100,000)", min: 0 }),
    "document-bytes": Flags.string({
      description: "size of one Secsync document: its snapshot and the updates to it (default: 64MiB)"
    }),
    "document-authors": Flags.integer({
      description: "authors of updates to one snapshot of a Secsync document (default: 1,000)",
      min: 0,
      max: 1000
    }),
    events: Flags.integer({
      description: "events of all streams of the library together, since they began (default: 100,000,000)",
      min: 0
    }),
    "payload-bytes": Flags.string({
      description: "size of all payloads that the log holds of the library, superseded ones too (default: 50GiB)"
    }),
    default: Flags.boolean({ description: "give the library the server's own quota again", default: false })
  }

  async run(): Promise<LibraryQuotaResult> {
    const { args, flags } = await this.parse(LibraryQuota)
    const libraryId = libraryIdOf(args.libraryId)
    const size = (text: string | undefined) => (text === undefined ? undefined : sizeOf(text))
    const change = given({
      objects: flags.objects,
      operations: flags.operations,
      bytes: size(flags.bytes),
      replicas: flags.replicas,
      files: flags.files,
      fileBytes: size(flags["file-bytes"]),
      documents: flags.documents,
      documentBytes: size(flags["document-bytes"]),
      documentAuthors: flags["document-authors"],
      events: flags.events,
      payloadBytes: size(flags["payload-bytes"])
    })
    const written = { by: attributionOf(flags), newLibrary: flags["new-library"] }
    const isSet = Object.keys(change).length > 0
    if (isSet && flags.default) {
      throw new CliFailure({
        code: "USAGE",
        message: "--default and the parts of a quota exclude each other.",
        exitCode: 2,
        tryThis: "first --default, then the parts that shall differ"
      })
    }
    const wanted = isSet ? change : flags.default ? ("default" as const) : undefined
    const { atMost, changed, own, use } = await this.administer(
      { database: flags.database, server: flags.server },
      ({ quota, setQuota }) =>
        gen(function* () {
          const changed = wanted === undefined ? false : yield* setQuota(libraryId, wanted, written)
          const shown = yield* quota(libraryId)
          return { changed, atMost: shown.atMost, own: shown.quota, use: shown.use }
        })
    )
    if (isSet) refuseOlderServer(change, own)
    const text = (part: keyof Quota, value: number) => (isSize(part) ? bytes(value) : number(value))
    const ofServer = (part: keyof Quota) => {
      if (atMost === null) return `server's (default: ${text(part, defaultQuota[part])})`
      const most = atMost[part]
      return most === undefined ? "server's" : `${text(part, most)} (server's)`
    }
    const used: Readonly<Partial<Record<keyof Quota, number | null>>> = use
    const rows = QUOTA_PARTS.map((part) => {
      const [set, held] = [own[part], used[part]]
      const usedText = held === undefined ? "" : held === null ? "not known" : text(part, held)
      return [part, set === undefined ? ofServer(part) : text(part, set), usedText]
    })
    if (isSet || flags.default)
      this.print(changed ? `Set the quota of ${libraryId}.\n` : "This quota was set before.\n")
    this.print(table(["QUOTA", "AT MOST", "IN USE"], rows))
    const partsOf = (some: QuotaChange) =>
      Object.fromEntries(QUOTA_PARTS.map((part) => [part, some[part] ?? null])) as Parts
    return { libraryId, changed, quota: partsOf(own), atMost: atMost === null ? null : partsOf(atMost), use }
  }
}

/** A server that is older than a part of the quota ignores that part, and answers as if all had been set. */
const refuseOlderServer = (wanted: QuotaChange, set: QuotaChange): void => {
  const unknown = Object.keys(wanted).filter((part) => !(part in set))
  if (unknown.length === 0) return
  throw new CliFailure({
    code: "SERVER_TOO_OLD",
    message: `The server did not set ${unknown.join(", ")}: it is of a version that does not know such a quota.`,
    exitCode: 1,
    tryThis: "the same command once the server is of this version"
  })
}

const given = (parts: { readonly [Part in keyof Quota]: number | undefined }): QuotaChange =>
  Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined))
