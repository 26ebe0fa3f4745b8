/** For programs like `sync-admin serve` with settings for which the CLI has no options. */
import { parseArgs } from "node:util"
import { NodeRuntime } from "@effect/platform-node"
import { type Access, FileLinks, JwtAccess, MemoryBlobStore, SyncServer, type SyncServerOptions } from "@sealog/server"
import { PgStorage } from "@sealog/storage-pg"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Effect, Layer } from "effect"

/** The program's arguments: those of `sync-admin serve`, and the folder of `servePolicy.ts`. */
export const {
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

/** Serves until a signal ends the process. */
export const serveWith = (
  options: Omit<SyncServerOptions, "port" | "host">,
  access: Layer.Layer<Access, unknown> = JwtAccess.layerConfig
): void => {
  const storage = database.startsWith("sqlite:")
    ? SqliteStorage.layer({ filename: database.slice("sqlite:".length) })
    : PgStorage.layerWithoutMigrations({ url: database })
  const server = SyncServer.layerWithAccess({ ...options, port: Number(port), host }).pipe(
    Layer.provide([storage, access, FileLinks.layerConfig, MemoryBlobStore.layerMemory])
  )
  const announced = Layer.effectDiscard(
    Effect.map(SyncServer, (running) => console.log(`Listening on ws://${host}:${running.port}`))
  )
  NodeRuntime.runMain(Layer.launch(Layer.provide(announced, server)))
}
