// A server in an app of your own. Set TOKEN_SECRET (32 bytes or more), then: node examples/embed-sqlite.ts
import { NodeRuntime } from "@effect/platform-node"
import { SyncServer } from "@sealog/server"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Console, Context, Effect, Layer } from "effect"

SyncServer.layer({ port: Number(process.env["PORT"] ?? 4000) }).pipe(
  Layer.provide(SqliteStorage.layer({ filename: "data/sealog.db" })),
  Layer.tap((services) => Console.log(`Listening on port ${Context.get(services, SyncServer).port}`)),
  Layer.launch,
  // The server has stopped in good order: SIGTERM is no failure.
  Effect.onInterrupt(() => Effect.sync(() => process.exit(0))),
  NodeRuntime.runMain
)
