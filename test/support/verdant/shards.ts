/** The SQLite databases of a Verdant server (4.2.5), one for each library. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { VERDANT } from "@sealog/server/domain/verdant/Events"
import { fold } from "@sealog/server/domain/verdant/Evolve"
import { patchOf } from "@sealog/server/domain/verdant/model/Operation"
import { newestFirst } from "@sealog/server/domain/verdant/UnfoldedBatches"
import { EventLog } from "@sealog/server/ports/EventLog"
import { Effect, type Scope } from "effect"
import { layerOf } from "../storage/databases.ts"
import type { Library } from "./Library.ts"

export interface ReplicaRow {
  readonly id: string
  readonly clientId?: string
  readonly lastSeenWallClockTime?: number | null
  readonly ackedLogicalTime?: string | null
  readonly type?: number
  readonly ackedServerOrder?: number
}

export interface OperationRow {
  readonly oid: string
  readonly timestamp: string
  readonly data: unknown
  readonly serverOrder: number
  readonly replicaId: string
  readonly authz?: unknown
}

export interface BaselineRow {
  readonly oid: string
  readonly snapshot: unknown
  readonly timestamp: string
  readonly authz?: unknown
}

export interface FileRow {
  readonly fileId: string
  readonly name: string
  readonly type: string
  readonly pendingDeleteAt?: number | null
}

/** The rows of one database. A value that is no text is stored as JSON. */
export interface Shard {
  readonly replicas?: ReadonlyArray<ReplicaRow>
  readonly operations?: ReadonlyArray<OperationRow>
  readonly baselines?: ReadonlyArray<BaselineRow>
  readonly files?: ReadonlyArray<FileRow>
}

const SCHEMA = `
  CREATE TABLE "DocumentBaseline" ("oid" text primary key, "snapshot" text, "timestamp" text not null);
  CREATE TABLE "OperationHistory" ("oid" text not null, "timestamp" text not null, "data" text not null,
    "serverOrder" integer default 0 not null, "replicaId" text not null,
    constraint "OperationHistory_primaryKey" primary key ("replicaId", "oid", "timestamp"));
  CREATE TABLE "ReplicaInfo" ("id" text primary key, "clientId" text not null, "lastSeenWallClockTime" integer,
    "ackedLogicalTime" text, "type" integer default 0 not null, "ackedServerOrder" integer default 0 not null);
  CREATE TABLE "FileMetadata" ("fileId" text primary key, "name" text not null, "type" text not null,
    "pendingDeleteAt" integer);
  CREATE TABLE "_Migrations" ("id" integer primary key, "appliedAt" text);`

const AUTHZ = `
  ALTER TABLE "OperationHistory" ADD COLUMN "authz" TEXT DEFAULT NULL;
  ALTER TABLE "DocumentBaseline" ADD COLUMN "authz" TEXT DEFAULT NULL;`

export const freshDirectory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "sealog-shards-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/**
 * Writes a database, and returns the open connection. `withAuthz: false` leaves out the columns of private documents, as
 * older servers did.
 */
export const openShard = (directory: string, libraryId: string, shard: Shard, { withAuthz = true } = {}) => {
  const database = new DatabaseSync(join(directory, `${libraryId}.sqlite`))
  database.exec(`PRAGMA journal_mode = WAL; ${SCHEMA} ${withAuthz ? AUTHZ : ""}`)
  const insert = (table: string, rows: ReadonlyArray<object> = []) => {
    for (const row of rows) {
      const fields = Object.entries(row).filter(([, value]) => value !== undefined)
      const names = fields.map(([name]) => `"${name}"`).join()
      database
        .prepare(`INSERT INTO "${table}" (${names}) VALUES (${fields.map(() => "?").join()})`)
        .run(
          ...fields.map(([, value]) => (typeof value === "object" && value !== null ? JSON.stringify(value) : value))
        )
    }
  }
  database.exec("BEGIN")
  insert(
    "ReplicaInfo",
    shard.replicas?.map((row) => ({ clientId: "somebody", ...row }))
  )
  insert("OperationHistory", shard.operations)
  insert("DocumentBaseline", shard.baselines)
  insert("FileMetadata", shard.files)
  database.exec("COMMIT")
  return database
}

/** Writes a database and closes it. */
export const writeShard = (...args: Parameters<typeof openShard>): void => openShard(...args).close()

/** Writes a file where that server's LocalFileStorage keeps it. */
export const writeFileOf = (root: string, libraryId: string, { fileId, name }: FileRow, content: string): void => {
  const path = join(root, libraryId, fileId, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
}

/** The state of a library on this server, as the rows of a Verdant server. */
export const shardOf = (database: string, { id }: Library): Effect.Effect<Required<Shard>> =>
  Effect.gen(function* () {
    const { events } = yield* (yield* EventLog).tail({ libraryId: id, streamId: VERDANT })
    const state = fold(events)
    // Operations of one event are numbered consecutively, and compacted ones leave gaps.
    const firstOrder = (version: number) => version * 1000
    const operations = [...newestFirst(state.batches)].reverse().flatMap(({ operations, replicaId, version }) =>
      operations.map(({ authz = null, ...operation }, i) => ({
        ...{ oid: operation.oid, timestamp: operation.timestamp, replicaId, authz },
        data: patchOf(operation),
        serverOrder: firstOrder(version) + i
      }))
    )
    const acked = (received: number) =>
      operations.reduce(
        (last, { serverOrder }) => (serverOrder < firstOrder(received + 1) ? Math.max(last, serverOrder) : last),
        0
      )
    return {
      operations,
      baselines: Array.from(state.entities).flatMap(([, { baseline }]) => {
        if (baseline === undefined) return []
        const { authz = null, snapshot } = JSON.parse(baseline.text)
        return [{ oid: baseline.oid, timestamp: baseline.timestamp, snapshot, authz }]
      }),
      replicas: Array.from(state.replicas.values(), ({ id, isTruant, promise, received, seen, type, userId }) => ({
        ...{ id, type, clientId: userId, ackedLogicalTime: promise },
        lastSeenWallClockTime: isTruant ? 1 : seen,
        ackedServerOrder: acked(received ?? 0)
      })),
      files: Array.from(state.files.values(), ({ fileId, name, type }) => ({ fileId, name, type }))
    }
  }).pipe(Effect.provide(layerOf(database)), Effect.orDie)
