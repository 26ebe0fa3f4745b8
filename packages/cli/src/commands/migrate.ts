import { Flags } from "@oclif/core"
import { BaseCommand } from "../BaseCommand.ts"

interface MigrateResult {
  readonly migrations: ReadonlyArray<{ readonly id: number; readonly name: string; readonly applied: boolean }>
  /** How many this call applied. */
  readonly appliedNow: number
}

export default class Migrate extends BaseCommand<MigrateResult> {
  static override description = "Make the database, or bring it up to date."
  static override examples = ["<%= config.bin %> migrate", "<%= config.bin %> migrate --status"]
  static override flags = {
    status: Flags.boolean({ description: "only say which migrations the database has", exclusive: ["dry-run"] }),
    "dry-run": Flags.boolean({ description: "only say what would be applied" })
  }

  async run(): Promise<MigrateResult> {
    const { flags } = await this.parse(Migrate)
    const { SqliteStorage } = await import("@sealog/storage-sqlite")
    const { sqliteFile } = await import("../storage.ts")
    const { table } = await import("../format.ts")
    const options = { filename: sqliteFile(flags.database) }
    if (flags.status || flags["dry-run"]) {
      const migrations = await this.execute(SqliteStorage.readMigrationStatus(options))
      const word = flags.status ? "missing" : "would be applied"
      const rows = migrations.map(({ id, name, applied }) => [String(id), name, applied ? "applied" : word])
      this.print(table(["ID", "NAME", "STATE"], rows))
      return { migrations, appliedNow: 0 }
    }
    const applied = await this.execute(SqliteStorage.applyMigrations(options))
    const migrations = await this.execute(SqliteStorage.readMigrationStatus(options))
    this.print(
      applied.length === 0
        ? "The database is up to date."
        : `Applied ${applied.map(([id, name]) => `${id} ${name}`).join(", ")}.`
    )
    return { migrations, appliedNow: applied.length }
  }
}
