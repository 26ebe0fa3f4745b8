/** Compares the migrations of a database with those of this version, so that no version works on a schema that it does not know. */
import { Effect } from "effect"
import { LogDamaged, StorageUnavailable } from "../ports/EventLog.ts"

export interface MigrationStatus {
  readonly id: number
  readonly name: string
  readonly applied: boolean
}

/** A row of the table that records which migrations were applied. */
export interface AppliedMigration {
  readonly migration_id: number
  /** Null in a damaged database. */
  readonly name: string | null
}

/**
 * Returns each migration of this version, and whether the database has it. Fails if a newer version has migrated the database, and dies of
 * `LogDamaged` if no version leaves the table of migrations so.
 *
 * @param names the migrations of this version, as in "0001_log"
 * @param applied the rows of the table
 * @param hasLog whether the tables of the log exist
 */
export const migrationStatusOf = (
  names: ReadonlyArray<string>,
  applied: ReadonlyArray<AppliedMigration>,
  hasLog: boolean
): Effect.Effect<ReadonlyArray<MigrationStatus>, StorageUnavailable> => {
  const ids = new Set(applied.map(({ migration_id }) => migration_id))
  const known = names.map((key): MigrationStatus => {
    const [id, ...name] = key.split("_")
    return { id: Number(id), name: name.join("_"), applied: ids.has(Number(id)) }
  })
  const damage = damageOf(known, applied, hasLog)
  if (damage !== undefined) return Effect.die(damage)
  const unknown = applied.filter(({ migration_id }) => !known.some(({ id }) => id === migration_id))
  return unknown.length === 0
    ? Effect.succeed(known)
    : Effect.fail(
        failed(
          `a newer version of Sealog has migrated the database: this one does not know ${unknown.map(({ name }) => name).join(", ")}`
        )
      )
}

/** A row is none, or one is gone. Undefined: the table is sound. */
const damageOf = (
  known: ReadonlyArray<MigrationStatus>,
  applied: ReadonlyArray<AppliedMigration>,
  hasLog: boolean
): LogDamaged | undefined => {
  const latest = Math.max(hasLog ? 1 : 0, ...applied.map(({ migration_id }) => migration_id))
  const isGone = known.some(({ applied, id }) => id <= latest && !applied)
  const isSound = applied.every(({ migration_id, name }) => migration_id > 0 && /^[\x20-\x7e]+$/.test(name ?? ""))
  if (isSound && !isGone) return undefined
  const detail = isSound
    ? "a row of the table of migrations is gone, or a restore has not ended"
    : "the table of migrations cannot be decoded"
  return new LogDamaged({ detail: `${detail}: keep the database as it is, and put a backup back (docs/damage.md)` })
}

/** The error of a database that was not migrated, or by an older version only; undefined when it has all migrations. */
export const missingMigrations = (known: ReadonlyArray<MigrationStatus>): StorageUnavailable | undefined => {
  const missing = known.filter(({ applied }) => !applied).map(({ name }) => name)
  return missing.length === 0 ? undefined : failed(`the database lacks the migrations ${missing.join(", ")}`)
}

const failed = (message: string) => new StorageUnavailable({ operation: "open the log", cause: new Error(message) })
