/** Checks whether a file holds a log that a server can rely on. Changes nothing. */
import { statfsSync, statSync } from "node:fs"
import { dirname } from "node:path"
import { errorText, type Finding, migrationsFinding, rootCauseOf } from "@sealog/server/storage"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { leftOverWal, REMEDY } from "./LeftOverWal.ts"
import { migrationStatus } from "./Migrations.ts"

const MEGABYTE = 1_000_000
/** Free bytes below which the disk check warns, and below which it fails. */
const [LITTLE, TOO_LITTLE] = [1000 * MEGABYTE, 100 * MEGABYTE]

export const diagnose = Effect.fnUntraced(function* (filename: string, isQuick: boolean) {
  const sql = yield* SqlClient.SqlClient
  const migrations = yield* migrationsFinding(migrationStatus, "sync-admin migrate")
  const findings: Array<Finding> = [{ check: "database", state: "ok", detail: filename }, migrations]
  if (migrations.state === "ok") {
    const triggers = yield* sql`SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'events'
      AND name IN ('events_are_not_changed', 'events_are_not_deleted')`
    findings.push(
      triggers.length === 2
        ? { check: "append-only", state: "ok", detail: "events cannot be changed or deleted" }
        : {
            check: "append-only",
            state: "fail",
            detail: "a trigger that keeps events from being changed is gone",
            tryThis: "`sync-admin replay`, to see whether something was changed"
          }
    )
  }
  const [mode] = yield* sql<{ journal_mode: string }>`PRAGMA journal_mode`
  findings.push(
    mode?.journal_mode === "wal"
      ? { check: "durability", state: "ok", detail: "WAL, synchronous=FULL" }
      : { check: "durability", state: "warn", detail: `journal_mode is ${mode?.journal_mode}, not wal` }
  )
  if (!isQuick) {
    const checked = sql<{ integrity_check: string }>`PRAGMA integrity_check(10)`
    // A page that it cannot even read ends the check.
    const lines = Effect.map(checked, (rows) => rows.map((row) => row.integrity_check))
    findings.push(pages(yield* Effect.catch(lines, (error) => Effect.succeed([errorText(rootCauseOf(error))]))))
  }
  if (filename !== ":memory:") findings.push(wal(filename), disk(filename))
  return findings
})

const pages = (lines: ReadonlyArray<string>): Finding => {
  const problems = lines.filter((line) => line !== "ok")
  if (problems.length === 0) return { check: "pages", state: "ok", detail: "the file is sound" }
  return {
    check: "pages",
    state: "fail",
    detail: `the file is damaged: ${problems.join("; ")}`,
    tryThis: "stop the server, keep this file, and put a backup back (docs/damage.md)"
  }
}

const wal = (filename: string): Finding => {
  const found = leftOverWal(filename)
  if (found === undefined) return { check: "wal", state: "ok", detail: "no left-over write-ahead log" }
  return { check: "wal", state: "warn", detail: found, tryThis: REMEDY }
}

const disk = (filename: string): Finding => {
  const { bavail, bsize } = statfsSync(dirname(filename))
  const free = bavail * bsize
  const detail = `${Math.round(free / MEGABYTE)} MB free, the log has ${Math.round(statSync(filename).size / MEGABYTE)} MB`
  if (free >= LITTLE) return { check: "disk", state: "ok", detail }
  return { check: "disk", state: free < TOO_LITTLE ? "fail" : "warn", detail, tryThis: "make room; `sync-admin prune`" }
}
