import { Flags } from "@oclif/core"
import { BaseCommand } from "../BaseCommand.ts"
import { CliFailure } from "../output/CliFailure.ts"

interface MigrateResult {
  readonly migrations: ReadonlyArray<{ readonly id: number; readonly name: string; readonly applied: boolean }>
  /** How many this call applied. */
  readonly appliedNow: number
}

export default class Migrate extends BaseCommand<MigrateResult> {
  static override description = `Make the database's tables, or bring them up to date.

On Postgres this needs the tables' owner; a server needs less. With --grant-to, a role gets what a server needs: it can read and append, and can neither change tables nor change or delete events.`
  static override examples = [
    "<%= config.bin %> migrate",
    "<%= config.bin %> migrate --status",
    "<%= config.bin %> migrate --database postgres://owner@localhost/sealog --grant-to sealog_server"
  ]
  static override flags = {
    status: Flags.boolean({ description: "only say which migrations the database has", exclusive: ["dry-run"] }),
    "dry-run": Flags.boolean({ description: "only say what would be applied" }),
    "grant-to": Flags.string({
      description: "a role of the database that servers run as",
      exclusive: ["status", "dry-run"]
    })
  }

  async run(): Promise<MigrateResult> {
    const { flags } = await this.parse(Migrate)
    const { backendOf } = await import("../backends/storage.ts")
    const { table } = await import("../output/format.ts")
    const backend = await backendOf(flags.database)
    if (flags["grant-to"] !== undefined && backend.grant === undefined) {
      throw new CliFailure({
        code: "NO_ROLES",
        message: "SQLite has no roles to grant rights to.",
        exitCode: 2,
        tryThis: "--grant-to with a Postgres database"
      })
    }
    if (flags.status || flags["dry-run"]) {
      const migrations = await this.execute(backend.readMigrationStatus)
      const word = flags.status ? "missing" : "would be applied"
      const rows = migrations.map(({ id, name, applied }) => [String(id), name, applied ? "applied" : word])
      this.print(table(["ID", "NAME", "STATE"], rows))
      return { migrations, appliedNow: 0 }
    }
    const applied = await this.execute(backend.applyMigrations)
    if (flags["grant-to"] !== undefined) await this.execute(backend.grant!(flags["grant-to"]))
    const migrations = await this.execute(backend.readMigrationStatus)
    this.print(
      applied.length === 0
        ? "The database is up to date."
        : `Applied ${applied.map(([id, name]) => `${id} ${name}`).join(", ")}.`
    )
    return { migrations, appliedNow: applied.length }
  }
}
