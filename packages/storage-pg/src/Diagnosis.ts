/** Checks whether a database holds a log that a server can rely on, and whether this role has only the rights it needs. */
import { type Finding, migrationsFinding } from "@sealog/server/storage"
import { Clock, Effect } from "effect"
import { SqlClient } from "effect/sql"
import { diagnoseNodes } from "./Distribution.ts"
import { countUnlisted, REMEDY } from "./ListedStreams.ts"
import { migrationStatus } from "./Migrations.ts"

/** Clocks serve people and tokens, so a few seconds make no difference. */
const MAX_SKEW_MILLIS = 5000

export const diagnose = Effect.fnUntraced(function* (isQuick: boolean) {
  const sql = yield* SqlClient.SqlClient
  const started = yield* Clock.currentTimeMillis
  const [server] = yield* sql<Server>`
    SELECT current_setting('server_version') AS version, current_setting('data_checksums') AS checksums, extract(epoch FROM clock_timestamp())::float8 * 1000 AS now,
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
        },
    server?.checksums === "off"
      ? {
          check: "checksums",
          state: "warn",
          detail:
            "data_checksums is off: Postgres does not notice a damaged page, and can loop for ever on one of an index",
          tryThis: "stop Postgres, and run `pg_checksums --enable`"
        }
      : { check: "checksums", state: "ok", detail: "Postgres verifies its pages" }
  ]
  const migrations = yield* migrationsFinding(migrationStatus, "`sync-admin migrate`, as the tables' owner")
  findings.push(migrations)
  if (migrations.state !== "ok") return findings
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
  if (!isQuick) findings.push(yield* listedStreams)
  return [...findings, ...(yield* diagnoseNodes)]
})

interface Server {
  readonly version: string
  readonly checksums: string
  readonly now: number
  readonly role: string
  readonly fsync: string
  readonly pages: string
}

/** Libraries that the finding names. */
const MAX_NAMED = 10

/** Whether the list of streams names every stream that has events. */
const listedStreams = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const lost: Array<string> = []
  const libraryAfter = Effect.fnUntraced(function* (last: string) {
    const [next] = yield* sql<{ library_id: string | null }>`
      SELECT min(library_id) AS library_id FROM sealog.events WHERE library_id > ${last}`
    return next?.library_id ?? undefined
  })
  // From one library to the next by the index: a scan would read every event.
  for (let id = yield* libraryAfter(""); id !== undefined; id = yield* libraryAfter(id)) {
    const streams = yield* countUnlisted(id)
    if (streams > 0) lost.push(`${streams} of ${id}`)
  }
  if (lost.length === 0)
    return { check: "streams", state: "ok", detail: "the list names all that have events" } as const
  const named = [...lost.slice(0, MAX_NAMED), ...(lost.length > MAX_NAMED ? ["…"] : [])].join(", ")
  return {
    check: "streams",
    state: "fail",
    detail: `the list lacks streams that have events: ${named}`,
    tryThis: REMEDY
  } as const
})
