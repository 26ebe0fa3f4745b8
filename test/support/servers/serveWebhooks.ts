/** A program like `sync-admin serve` with short times for webhooks, for which the CLI has no options. */
import { parseArgs } from "node:util"
import { NodeRuntime } from "@effect/platform-node"
import { FileLinks, JwtAccess, MemoryBlobStore, SyncServer } from "@sealog/server"
import { PgStorage } from "@sealog/storage-pg"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Effect, Layer } from "effect"

const {
  database = "",
  host = "127.0.0.1",
  port = "0"
} = parseArgs({
  allowPositionals: true,
  options: { database: { type: "string" }, host: { type: "string" }, port: { type: "string" } }
}).values

const storage = database.startsWith("sqlite:")
  ? SqliteStorage.layer({ filename: database.slice("sqlite:".length) })
  : PgStorage.layerWithoutMigrations({ url: database })
const webhooks = {
  lease: "7 seconds",
  timeout: "3 seconds",
  recordEvery: "900 millis",
  firstRetry: "50 millis",
  maxRetry: "500 millis"
} as const
const server = SyncServer.layerWithAccess({ port: Number(port), host, webhooks }).pipe(
  Layer.provide([storage, JwtAccess.layerConfig, FileLinks.layerConfig, MemoryBlobStore.layerMemory])
)
const announced = Layer.effectDiscard(
  Effect.map(SyncServer, (running) => console.log(`Listening on ws://${host}:${running.port}`))
)

NodeRuntime.runMain(Layer.launch(Layer.provide(announced, server)))
