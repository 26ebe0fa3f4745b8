import * as Flags from "@oclif/core/flags"
import { BaseCommand } from "../BaseCommand.ts"
import { backendOf } from "../backends/storage.ts"
import { CliFailure } from "../output/CliFailure.ts"
import { table } from "../output/format.ts"

interface MigrateResult {
  readonly migrations: ReadonlyArray<{ readonly id: number; readonly name: string; readonly applied: boolean }>
  /** The number of migrations that this command applied. */
  readonly appliedNow: number
}

export default class Migrate extends BaseCommand<MigrateResult> {
  static override summary = "Create the database's tables, or bring them up to date."
  static override description =
    `Stop servers of an older version first: they cannot write to migrated tables. \`sync-admin serve\` migrates a SQLite database by itself.

On Postgres, run the command as the owner of the tables. With --grant-to it also grants a role the rights that a server needs: to read and to append, but not to alter tables or to change or delete events.

With --distribute it also distributes an empty log by library over the nodes of a Citus cluster, as a superuser on the coordinator. docs/runbooks/citus.md has the steps.`
  static override examples = [
    "<%= config.bin %> migrate",
    "<%= config.bin %> migrate --status",
    "<%= config.bin %> migrate --database postgres://owner@localhost/sealog --grant-to sealog_server"
  ]
  static override flags = {
    status: Flags.boolean({ description: "only show which migrations the database has", exclusive: ["dry-run"] }),
    "dry-run": Flags.boolean({ description: "only show which migrations would be applied" }),
    distribute: Flags.boolean({
      description: "distribute an empty log over the nodes of a Citus cluster",
      exclusive: ["status", "dry-run"]
    }),
    "grant-to": Flags.string({
      description: "Postgres role that servers run as",
      exclusive: ["status", "dry-run"]
    })
  }

  async run(): Promise<MigrateResult> {
    const { flags } = await this.parse(Migrate)
    const backend = await backendOf(flags.database)
    if (flags["grant-to"] !== undefined && backend.grant === undefined) {
      throw new CliFailure({
        code: "NO_ROLES",
        message: "SQLite has no roles to grant rights to.",
        exitCode: 2,
        tryThis: "leave out --grant-to, or name a Postgres database"
      })
    }
    const apply = flags.distribute ? backend.applyMigrationsAndDistribute : backend.applyMigrations
    if (apply === undefined) {
      throw new CliFailure({
        code: "NOT_POSTGRES",
        message: "A SQLite log cannot be distributed.",
        exitCode: 2,
        tryThis: "leave out --distribute, or name the coordinator of a Citus cluster"
      })
    }
    if (flags.status || flags["dry-run"]) {
      const migrations = await this.execute(backend.readMigrationStatus)
      const word = flags.status ? "missing" : "would be applied"
      const rows = migrations.map(({ id, name, applied }) => [String(id), name, applied ? "applied" : word])
      this.print(table(["ID", "NAME", "STATE"], rows))
      return { migrations, appliedNow: 0 }
    }
    const applied = await this.execute(apply)
    if (flags["grant-to"] !== undefined) await this.execute(backend.grant!(flags["grant-to"]))
    const migrations = await this.execute(backend.readMigrationStatus)
    this.print(
      applied.length === 0
        ? "The database is up to date."
        : `Applied ${applied.map(([id, name]) => `${id} ${name}`).join(", ")}.`
    )
    if (flags.distribute) this.print("The log is distributed.")
    return { migrations, appliedNow: applied.length }
  }
}
