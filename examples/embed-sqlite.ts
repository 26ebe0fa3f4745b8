// A server in an app of your own. Set TOKEN_SECRET (32 bytes or more), then: node examples/embed-sqlite.ts
import { NodeRuntime } from "@effect/platform-node"
import { SyncServer } from "@sealog/server"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Layer } from "effect"

SyncServer.layer({ port: Number(process.env["PORT"] ?? 4000) }).pipe(
  Layer.provide(SqliteStorage.layer({ filename: "data/sealog.db" })),
  Layer.launch,
  NodeRuntime.runMain
)
