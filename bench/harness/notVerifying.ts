/**
 * Our server without signature checks: it shows the rest of an update's cost, beside servers that verify no signatures.
 *
 *   node bench/harness/notVerifying.ts sqlite:FILE | postgres://… — prints its URL.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { PgStorage } from "@sealog/storage-pg"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Effect, Layer } from "effect"
import * as JwtAccess from "#server/adapters/JwtAccess"
import { SyncServer } from "#server/edge/SyncServer"
import { Signatures } from "#server/signatures/Signatures"

const database = process.argv[2] ?? ""
const storage = database.startsWith("sqlite:")
  ? SqliteStorage.layer({ filename: database.slice("sqlite:".length) })
  : PgStorage.layer({ url: database })
const allGenuine = (signed: ReadonlyArray<unknown>) => signed.map(() => true)
const credulous = Layer.succeed(
  Signatures,
  Signatures.of({
    verify: (signed) => Effect.succeed(allGenuine(signed)),
    verifyThen: (signed, done) => done(allGenuine(signed))
  })
)
const running = Effect.gen(function* () {
  const { port } = yield* SyncServer
  console.log(`ws://127.0.0.1:${port}`)
  return yield* Effect.never
})
const server = SyncServer.layerWithServices({ port: 0, host: "127.0.0.1", trustedProxies: ["127.0.0.1"] }).pipe(
  Layer.provide([storage, credulous, JwtAccess.layerConfig])
)
running.pipe(Effect.provide(server), NodeRuntime.runMain)
