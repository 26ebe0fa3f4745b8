/**
 * A program like `sync-admin serve` whose app has a policy: the users whose names are in a folder have no access. The app's
 * own route `POST /remove/:library/:user` adds a name and calls `Access.changed`.
 */
import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { NodeRuntime } from "@effect/platform-node"
import { Access, FileLinks, JwtAccess, LibraryId, MemoryBlobStore, SyncServer } from "@sealog/server"
import { PgStorage } from "@sealog/storage-pg"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"

const {
  database = "",
  host = "127.0.0.1",
  port = "0",
  removed = ""
} = parseArgs({
  allowPositionals: true,
  options: {
    database: { type: "string" },
    host: { type: "string" },
    port: { type: "string" },
    removed: { type: "string" }
  }
}).values

const storage = database.startsWith("sqlite:")
  ? SqliteStorage.layer({ filename: database.slice("sqlite:".length) })
  : PgStorage.layerWithoutMigrations({ url: database })
const access = Access.layerWithPolicy(({ userId }) => Effect.sync(() => !existsSync(join(removed, userId))))

const removeRoute = HttpRouter.add(
  "POST",
  "/remove/:library/:user",
  Effect.gen(function* () {
    const { library = "", user = "" } = yield* HttpRouter.params
    writeFileSync(join(removed, user), "")
    yield* Effect.orDie(Access.changed({ libraryId: LibraryId.make(library), userId: user }))
    return HttpServerResponse.text("removed")
  })
)

const server = SyncServer.layerWithAccess({ port: Number(port), host, routes: removeRoute }).pipe(
  Layer.provide([
    storage,
    Layer.provide(access, JwtAccess.layerConfig),
    FileLinks.layerConfig,
    MemoryBlobStore.layerMemory
  ])
)
const announced = Layer.effectDiscard(
  Effect.map(SyncServer, (running) => console.log(`Listening on ws://${host}:${running.port}`))
)

NodeRuntime.runMain(Layer.launch(Layer.provide(announced, server)))
