/**
 * Copies a document's log into a database of its own, changes the copy behind the log's back as an attacker with the database
 * would, and verifies it. The copy is deleted.
 */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { copy, type ReplayReport, replay } from "@sealog/server/admin"
import type { DocumentId, EventLog, LibraryId, Signals } from "@sealog/server/ports"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

export interface Tampered {
  /** The version whose author was changed, and the one whose ciphertext was. */
  readonly author: { readonly version: number }
  readonly ciphertext: { readonly version: number }
  readonly report: ReplayReport
}

/** Returns undefined if the document has no sealed message to change. */
export const tamper = Effect.fnUntraced(function* (scope: {
  readonly libraryId: LibraryId
  readonly documentId: DocumentId
}) {
  const folder = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "sealog-tampered-"))),
    (made) => Effect.promise(() => rm(made, { recursive: true, force: true }))
  )
  const filename = join(folder, "copy.db")
  // The log may be on Postgres, and the server then loads no other storage.
  const { SqliteStorage } = yield* Effect.promise(() => import("@sealog/storage-sqlite"))
  yield* Effect.scoped(
    Effect.gen(function* () {
      const target: Context.Context<EventLog | Signals> = yield* Layer.build(SqliteStorage.layer({ filename }))
      yield* Effect.orDie(copy(target, scope))
    })
  )
  const changed = change(filename)
  if (changed === undefined) return undefined
  const report = yield* replay(scope).pipe(Effect.provide(SqliteStorage.layerWithoutMigrations({ filename })))
  return { ...changed, report } satisfies Tampered
}, Effect.scoped)

const change = (filename: string): Omit<Tampered, "report"> | undefined => {
  using database = new DatabaseSync(filename)
  const last = row(database, "SELECT position, payload FROM payloads ORDER BY position DESC LIMIT 1")
  const first = row(database, "SELECT position, version, data FROM events WHERE data LIKE '%pubKey%' ORDER BY version")
  if (last === undefined || first === undefined) return undefined
  const payload = Buffer.from(last["payload"] as Uint8Array)
  payload[payload.length - 1]! ^= 1
  database.prepare("UPDATE payloads SET payload = ? WHERE position = ?").run(payload, last["position"]!)
  const data = JSON.parse(String(first["data"]))
  // Triggers keep everybody from changing events. The owner of the file can drop them.
  database.exec("DROP TRIGGER events_are_not_changed")
  database
    .prepare("UPDATE events SET data = ? WHERE position = ?")
    .run(JSON.stringify({ ...data, pubKey: "A".repeat(data.pubKey.length) }), first["position"]!)
  const { version } = row(database, "SELECT version FROM events WHERE position = ?", last["position"]) ?? {}
  return { author: { version: Number(first["version"]) }, ciphertext: { version: Number(version) } }
}

const row = (database: DatabaseSync, sql: string, ...values: ReadonlyArray<unknown>) =>
  database.prepare(sql).get(...(values as Array<number>))
