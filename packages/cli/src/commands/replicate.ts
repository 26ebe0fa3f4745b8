import * as Flags from "@oclif/core/flags"
import { serveMetrics, showMetrics } from "@sealog/server"
import type { ReplicationStatus } from "@sealog/server/admin"
import { nothingReplicated, replicate } from "@sealog/server/admin"
import { BlobStore } from "@sealog/server/ports"
import * as Effect from "effect/Effect"
import { build } from "effect/Layer"
import { BaseCommand } from "../BaseCommand.ts"
import { blobStoreOf, existingBlobStoreOf } from "../backends/blobStore.ts"
import { copyTargetOf, requireMigrated } from "../backends/copyTarget.ts"
import { backendOf } from "../backends/storage.ts"
import { metricsFlags, metricsSettings } from "../input/metricsSettings.ts"
import { attributionOf, operatorFlags } from "../input/operator.ts"
import { CliFailure } from "../output/CliFailure.ts"
import { count, time } from "../output/format.ts"

interface ReplicateResult extends ReplicationStatus {
  /** The URL of the standby, without its password. */
  readonly to: string
}

/** How often a command that follows prints where it is, milliseconds. A change of its state is printed at once. */
const PRINT_MILLIS = 60_000

export default class Replicate extends BaseCommand<ReplicateResult> {
  static override summary = "Copy the log into a standby, and go on with all that is written."
  static override description =
    `The source is --database, and its servers keep running. The standby is an empty, migrated database, or one that this command has copied into before: SQLite or Postgres, whichever the source is. Servers refuse a standby until \`sync-admin promote\`.

Without --follow the command copies what is there, and ends. With it the command goes on: it waits while one of the databases is away, and resumes. On SIGTERM or SIGINT it copies the rest and ends; a second signal ends it at once.

With --promote, which moves a log, the command goes on until no server uses the source any more, and then at once copies the rest, makes the source a standby, and promotes the copy. The source has to be SQLite, whose server holds a lock that the command takes. So no server writes to the source in between, or starts on it later. A server that crashed has stopped as well.

--metrics-port serves sealog_standby_behind_seconds: the time since the standby last held everything. While nothing is wrong it stays below some seconds.`
  static override examples = [
    "<%= config.bin %> replicate --to sqlite:./standby.db",
    "<%= config.bin %> replicate --to postgres://sealog@standby/sealog --follow --metrics-port 9465",
    "<%= config.bin %> replicate --to env:STANDBY_URL --follow --files ./data/files --files-to ./standby-files",
    '<%= config.bin %> replicate --to postgres://sealog@localhost/sealog --promote --reason "move to Postgres"'
  ]
  static override flags = {
    to: Flags.string({
      description:
        "standby: sqlite:PATH, postgres://…, or env:NAME to read the URL from a variable and hide its password",
      required: true
    }),
    follow: Flags.boolean({ description: "go on until a signal stops the command", default: false }),
    promote: Flags.boolean({
      description: "go on until the source's server has stopped, copy the rest, and promote the copy",
      default: false
    }),
    ...operatorFlags,
    files: Flags.string({
      description: "where the servers keep uploaded files: a directory, or s3 (default: files are not copied)",
      dependsOn: ["files-to"]
    }),
    "files-to": Flags.string({ description: "directory for the standby's files", dependsOn: ["files"] }),
    ...metricsFlags
  }

  async run(): Promise<ReplicateResult> {
    const { flags } = await this.parse(Replicate)
    const backend = await copyTargetOf(flags.to, flags.database)
    const source = await backendOf(flags.database)
    const { withoutServer } = source
    if (flags.promote && withoutServer === undefined) {
      throw new CliFailure({
        code: "USAGE",
        message: "--promote needs a source in SQLite: nothing tells whether servers still write to this one.",
        exitCode: 2,
        tryThis: "replicate --follow; stop the servers, then the command, and then `sync-admin promote`"
      })
    }
    const handOver = flags.promote && withoutServer ? { withoutServer, by: attributionOf(flags) } : undefined
    const goesOn = flags.follow || flags.promote
    await requireMigrated(backend, this.execute(backend.readMigrationStatus), { isPatient: goesOn })
    const stores =
      flags.files === undefined || flags["files-to"] === undefined
        ? undefined
        : { from: await existingBlobStoreOf(flags.files), to: await blobStoreOf(flags["files-to"]) }
    let status = nothingReplicated
    let printed = { at: 0, failure: null as string | null, isInStep: false }
    const print = (next: ReplicationStatus): void => {
      status = next
      if (!goesOn) return
      const isInStep = next.inStepAt !== null
      const isNews = next.failure !== printed.failure || isInStep !== printed.isInStep
      if (!isNews && Date.now() < printed.at + PRINT_MILLIS) return
      printed = { at: Date.now(), failure: next.failure, isInStep }
      this.announce(`${time(Date.now())} UTC ${next.failure ?? describe(next)}`)
    }
    const describe = ({ events, inStepAt }: ReplicationStatus): string =>
      inStepAt === null
        ? `${count(events, "event")} copied`
        : `${count(events, "event")} copied, ${((Date.now() - inStepAt) / 1000).toFixed(1)} s behind`
    const replicating = Effect.gen(function* () {
      yield* showMetrics
      yield* serveMetrics(metricsSettings(flags), undefined)
      const files =
        stores === undefined
          ? undefined
          : {
              from: yield* Effect.provide(BlobStore, stores.from),
              to: yield* Effect.provide(BlobStore, stores.to)
            }
      return yield* replicate(yield* build(backend.existing), { files, follow: flags.follow, handOver, onRound: print })
    })
    const running = Effect.scoped(Effect.provide(replicating, source.existing))
    if (goesOn) await this.executeUntilStopped(running)
    else await this.execute(running)
    if (status.failure !== null) {
      this.print(`The last round failed: ${status.failure}`)
      process.exitCode = 1
    }
    this.print(`${backend.label}: ${describe(status)}.`)
    if (status.filesMissing > 0) {
      this.print(`${count(status.filesMissing, "file")} not copied: replaced or deleted since, or lost by the store.`)
    }
    if (status.isPromoted) this.print("Promoted: it holds all of the source, which is a standby now.")
    else if (flags.promote) {
      this.print("Not promoted: a signal stopped the command before the source's server had stopped.")
      process.exitCode = 1
    }
    return { ...status, to: backend.label }
  }
}
