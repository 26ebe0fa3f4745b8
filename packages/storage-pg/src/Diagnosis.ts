/** Checks whether a database holds a log that a server can rely on, and whether this role has only the rights it needs. */
import type { Finding } from "@sealog/server/storage"
import { Clock, Effect } from "effect"
import { SqlClient } from "effect/sql"
import { diagnoseNodes } from "./Distribution.ts"
import { migrationStatus } from "./Migrations.ts"

/** Clocks serve people and tokens, so a few seconds make no difference. */
const MAX_SKEW_MILLIS = 5000

export const diagnose = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const started = yield* Clock.currentTimeMillis
  const [server] = yield* sql<{ version: string; now: number; role: string; fsync: string; pages: string }>`
    SELECT current_setting('server_version') AS version, extract(epoch FROM clock_timestamp())::float8 * 1000 AS now,
      current_user::text AS role, current_setting('fsync') AS fsync, current_setting('full_page_writes') AS pages`
  const skew = Math.round((server?.now ?? 0) - started)
  const findings: Array<Finding> = [
    { check: "database", state: "ok", detail: `Postgres ${server?.version}, as ${server?.role}` },
    Math.abs(skew) <= MAX_SKEW_MILLIS
      ? { check: "clock", state: "ok", detail: "the same as the database's" }
      : {
          check: "clock",
          state: "warn",
          detail: `the database's clock is ${Math.abs(skew / 1000)} s ${skew > 0 ? "ahead" : "behind"}`,
          tryThis: "NTP on both machines"
        },
    server?.fsync === "on" && server.pages === "on"
      ? { check: "durability", state: "ok", detail: "fsync and full_page_writes are on" }
      : {
          check: "durability",
          state: "fail",
          detail: `fsync is ${server?.fsync}, full_page_writes is ${server?.pages}: a crash can lose what was acknowledged`,
          tryThis: "ALTER SYSTEM SET fsync = on; ALTER SYSTEM SET full_page_writes = on"
        }
  ]
  const missing = (yield* migrationStatus).filter(({ applied }) => !applied)
  if (missing.length > 0) {
    findings.push({
      check: "migrations",
      state: "fail",
      detail: `missing: ${missing.map(({ name }) => name).join(", ")}`,
      tryThis: "`sync-admin migrate`, as the tables' owner"
    })
    return findings
  }
  findings.push({ check: "migrations", state: "ok", detail: "complete" })
  const triggers =
    yield* sql`SELECT 1 FROM pg_trigger WHERE tgrelid = 'sealog.events'::regclass AND tgenabled IN ('O', 'A')
    AND tgname IN ('events_are_not_changed', 'events_are_not_truncated')`
  findings.push(
    triggers.length === 2
      ? { check: "append-only", state: "ok", detail: "events cannot be changed or deleted" }
      : {
          check: "append-only",
          state: "fail",
          detail: "a trigger that keeps events from being changed is gone or disabled",
          tryThis: "`sync-admin replay`, to see whether something was changed"
        }
  )
  const [rights] = yield* sql<{ more: boolean; less: boolean }>`
    SELECT pg_has_role(c.relowner, 'MEMBER') OR has_table_privilege('sealog.events', 'UPDATE, DELETE, TRUNCATE, TRIGGER')
        AS more,
      NOT (has_table_privilege('sealog.events', 'SELECT') AND has_table_privilege('sealog.events', 'INSERT')
        AND has_table_privilege('sealog.streams', 'UPDATE') AND has_table_privilege('sealog.payloads', 'DELETE')) AS less
    FROM pg_class c WHERE c.oid = 'sealog.events'::regclass`
  findings.push(
    rights?.less === true
      ? {
          check: "rights",
          state: "fail",
          detail: "this role may not do what a server does",
          tryThis: "`sync-admin migrate --grant-to ROLE`, as the tables' owner"
        }
      : rights?.more === true
        ? {
            check: "rights",
            state: "warn",
            detail: "this role could change the tables or the events",
            tryThis: "run servers as a role that has `sync-admin migrate --grant-to ROLE` alone"
          }
        : { check: "rights", state: "ok", detail: "the rights that a server needs, and no more" }
  )
  return [...findings, ...(yield* diagnoseNodes)]
})
