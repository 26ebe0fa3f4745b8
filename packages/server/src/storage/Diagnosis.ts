/** Findings of `doctor`, and those that every storage makes alike. */
import { Effect } from "effect"
import { LogDamaged } from "../ports/EventLog.ts"
import type { MigrationStatus } from "./MigrationStatus.ts"

/** One result of `doctor`. */
export interface Finding {
  /** A stable name of the check. */
  readonly check: string
  /** "warn": the server works, and could be set up better. */
  readonly state: "ok" | "warn" | "fail"
  readonly detail: string
  /** A command or setting that the operator can try next. */
  readonly tryThis?: string
}

/** Whether a database has all migrations. `tryThis`: how to apply those that it lacks. Damage of their table is a finding as well. */
export const migrationsFinding = <E, R>(
  status: Effect.Effect<ReadonlyArray<MigrationStatus>, E, R>,
  tryThis: string
): Effect.Effect<Finding, E, R> =>
  status.pipe(
    Effect.map((all): Finding => {
      const missing = all.filter(({ applied }) => !applied).map(({ name }) => name)
      return missing.length === 0
        ? { check: "migrations", state: "ok", detail: "complete" }
        : { check: "migrations", state: "fail", detail: `missing: ${missing.join(", ")}`, tryThis }
    }),
    Effect.catchDefect((defect) =>
      defect instanceof LogDamaged
        ? Effect.succeed<Finding>({ check: "migrations", state: "fail", detail: defect.detail, tryThis: "a backup" })
        : Effect.die(defect)
    )
  )
