import * as Args from "@oclif/core/args"
import * as Flags from "@oclif/core/flags"
import { BaseCommand } from "../BaseCommand.ts"
import { documentIdOf, libraryIdOf } from "../input/ids.ts"
import { attributionOf, operatorFlags } from "../input/operator.ts"
import { targetFlags } from "../input/server.ts"
import { CliFailure } from "../output/CliFailure.ts"
import { confirm } from "../output/confirm.ts"
import type { Deleted } from "../output/deleted.ts"
import { describeDeleted, filesLeft, filesOf, namesOf, sumsOf } from "../output/deleted.ts"
import { bytes } from "../output/format.ts"

interface EvictResult extends Deleted {
  /** True if this command closed the library; `sync-admin resume` opens it. */
  readonly suspended: boolean
}

export default class Evict extends BaseCommand<EvictResult> {
  static override summary = "Delete a library's payloads and keep its events."
  static override description =
    `A document that no client has any more is lost. Use --dry-run to see what would be deleted. The command asks for the library's name unless you give --yes.

Connected clients that have a document restore it at once, other clients when they return; --suspend closes the library first. Verdant data is evicted as a whole, and the first client to return restores it from its replica. Events stay, so \`sync-admin replay\` can still verify the history.

Uploaded files are evicted with the Verdant data. With --files this command deletes their bytes, also those of earlier evictions. Without --files a server deletes them: when a client of the library is connected or returns, or within two days.`
  static override examples = [
    "<%= config.bin %> evict notes --dry-run",
    "<%= config.bin %> evict notes --document welcome --yes",
    "<%= config.bin %> evict notes --suspend --files ./data/files --yes"
  ]
  static override args = { libraryId: Args.string({ description: "name of the library", required: true }) }
  static override flags = {
    ...targetFlags,
    ...operatorFlags,
    document: Flags.string({ description: "evict only this document" }),
    suspend: Flags.boolean({
      description: "close the library first, so that no client restores it before `sync-admin resume`",
      default: false,
      exclusive: ["document"]
    }),
    files: Flags.string({
      description: "where the servers keep uploaded files: a directory, or s3 (configured by S3_… variables)",
      env: "SEALOG_FILES"
    }),
    "dry-run": Flags.boolean({ description: "only show what would be deleted", default: false }),
    yes: Flags.boolean({ char: "y", description: "do not ask for confirmation", default: false })
  }

  async run(): Promise<EvictResult> {
    const { args, flags } = await this.parse(Evict)
    const by = attributionOf(flags)
    if (!flags.suspend && (flags.as !== undefined || flags.reason !== undefined)) {
      throw new CliFailure({
        code: "USAGE",
        message: "--as and --reason are kept in the event of --suspend, and an eviction alone has none.",
        exitCode: 2,
        tryThis: "add --suspend, or leave them out"
      })
    }
    const target = {
      libraryId: libraryIdOf(args.libraryId),
      ...(flags.document === undefined ? {} : { documentId: documentIdOf(flags.document) })
    }
    const run = async (dryRun: boolean): Promise<EvictResult> => {
      const { documents, filesDeleted } = await this.administer(flags, ({ evict }) => evict(target, { dryRun }))
      const suspended = flags.suspend && !dryRun
      return { ...{ libraryId: target.libraryId, dryRun, documents }, ...sumsOf(documents), filesDeleted, suspended }
    }
    const nothing = `Nothing to evict in ${target.libraryId}.`
    if (flags["dry-run"] || !flags.yes) {
      const planned = await run(true)
      const scope = describeDeleted(planned)
      if ((planned.documents.length === 0 && !flags.suspend) || flags["dry-run"]) {
        this.print(planned.documents.length === 0 ? nothing : `Would evict ${scope}.`)
        return { ...planned, dryRun: flags["dry-run"] }
      }
      await confirm(`evict ${scope}`, target.libraryId)
    }
    if (flags.suspend) await this.administer(flags, ({ suspend }) => suspend(target.libraryId, { by }))
    const done = await run(false)
    const { documents, payloadBytes } = done
    const freed = `${bytes(payloadBytes)}${filesOf(done)}`
    if (flags.suspend) this.print(`Suspended ${target.libraryId}.`)
    this.print(documents.length === 0 ? nothing : `Evicted ${namesOf(documents)}, freed ${freed}.`)
    const left = filesLeft(done)
    if (left !== undefined) this.print(left)
    return done
  }
}
