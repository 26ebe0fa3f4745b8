// A server whose app receives its users' changes, and after a restart goes on where it stopped: node examples/verdant-changes.ts
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { NodeRuntime } from "@effect/platform-node"
import { type LibraryChange, type LibraryId, SyncServer, VerdantLibraries } from "@sealog/server"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Console, Effect, Layer, Stream } from "effect"

const file = "data/told.json"
/** The last version that was processed, by library. A real app stores it together with its results. */
const processed = new Map<LibraryId, number>(existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : [])

const print = Effect.fnUntraced(function* (change: LibraryChange) {
  const { documentSnapshot } = yield* VerdantLibraries
  const { libraryId, version } = change
  if (change._tag !== "Changed") yield* Console.log(`${libraryId} ${version}: ${change._tag}`)
  else {
    for (const { collection, id } of change.documents) {
      const document = yield* documentSnapshot(libraryId, collection, id)
      yield* Console.log(`${libraryId} ${version}: ${change.userId} changed ${collection}/${id}`, document)
    }
  }
  processed.set(libraryId, version)
  writeFileSync(file, JSON.stringify([...processed]))
})

const app = Effect.flatMap(VerdantLibraries, ({ allChanges }) =>
  Stream.runForEach(allChanges(new Map(processed)), print)
)

const server = SyncServer.layer({ port: Number(process.env["PORT"] ?? 4000) }).pipe(
  Layer.provide(SqliteStorage.layer({ filename: "data/sealog.db" }))
)
app.pipe(
  Effect.provide(server),
  // The server has stopped in good order: SIGTERM is no failure.
  Effect.onInterrupt(() => Effect.sync(() => process.exit(0))),
  NodeRuntime.runMain
)
