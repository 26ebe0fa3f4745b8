// The same on Postgres, in any number of processes: DATABASE_URL=postgres://… TOKEN_SECRET=… node examples/embed-postgres.ts
import { NodeRuntime } from "@effect/platform-node"
import { SyncServer } from "@sealog/server"
import { PgStorage } from "@sealog/storage-pg"
import { Console, Context, Effect, Layer } from "effect"

SyncServer.layer({ port: Number(process.env["PORT"] ?? 4000) }).pipe(
  Layer.provide(PgStorage.layer({ url: process.env["DATABASE_URL"] ?? "postgres://localhost/sealog" })),
  Layer.tap((services) => Console.log(`Listening on port ${Context.get(services, SyncServer).port}`)),
  Layer.launch,
  // The server has stopped in good order: SIGTERM is no failure.
  Effect.onInterrupt(() => Effect.sync(() => process.exit(0))),
  NodeRuntime.runMain
)
