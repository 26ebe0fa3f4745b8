/** The server processes of a soak and their database, with a network in front of each that can swallow everything. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { PgStorage } from "@sealog/storage-pg"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Effect, Scope } from "effect"
import { type BlackHole, startBlackHole } from "../support/network/BlackHole.ts"
import { freePort } from "../support/network/freePort.ts"
import { type ServerProcess, spawnServer, syncAdmin } from "../support/servers/ServerProcess.ts"
import { keepRows } from "../support/storage/backups.ts"
import { makeCluster } from "../support/storage/PostgresCluster.ts"

export type StorageName = "sqlite" | "postgres"

export interface Node {
  process: ServerProcess
  readonly metricsPort: number
  /** The network between the clients and the process. */
  readonly network: BlackHole
  readonly restart: (how: "kill" | "stop") => Effect.Effect<void>
  /** Sets how far its time of day is ahead, in milliseconds. */
  readonly leap: (ahead: number) => void
}

export interface Servers {
  readonly nodes: ReadonlyArray<Node>
  /** As `--database` takes it, without a network in between. */
  readonly database: string
  /** The network between the servers and Postgres; undefined: there is none. */
  readonly databaseNetwork: BlackHole | undefined
  /** Crashes Postgres, and starts it again. */
  readonly crashDatabase: (() => void) | undefined
  /** Takes a backup, and returns the effect that puts it back under the servers. */
  readonly backUp: Effect.Effect<Effect.Effect<void>>
}

const HEAP = "--max-old-space-size=256"

export const startServers: (storage: StorageName) => Effect.Effect<Servers, never, Scope.Scope> = Effect.fnUntraced(
  function* (storage) {
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "sealog-soak-"))),
      (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
    )
    const cluster =
      storage === "sqlite"
        ? undefined
        : yield* Effect.acquireRelease(
            Effect.promise(() => makeCluster()),
            (cluster) => Effect.sync(() => cluster.remove())
          )
    const database = cluster?.url ?? `sqlite:${join(folder, "sealog.db")}`
    yield* cluster === undefined
      ? SqliteStorage.applyMigrations({ filename: join(folder, "sealog.db") }).pipe(Effect.orDie)
      : PgStorage.applyMigrations({ url: cluster.url }).pipe(Effect.orDie)
    const databaseNetwork = cluster && (yield* startBlackHole(Number(new URL(cluster.url).port)))
    const served = new URL(database)
    if (databaseNetwork !== undefined) served.port = String(databaseNetwork.port)

    const startNode = Effect.fnUntraced(function* (index: number) {
      const clock = join(folder, `clock-${index}`)
      writeFileSync(clock, "0")
      const module = pathToFileURL(join(import.meta.dirname, "machineClock.ts"))
      module.searchParams.set("file", clock)
      const port = yield* Effect.promise(freePort)
      const metricsPort = yield* Effect.promise(freePort)
      const spawn = spawnServer(cluster === undefined ? database : served.href, {
        port,
        args: ["--metrics-port", String(metricsPort)],
        // As deploy/ sets it.
        variables: { MALLOC_ARENA_MAX: "2" },
        program: [HEAP, "--import", module.href, syncAdmin]
      })
      const network = yield* startBlackHole(port)
      const scope = yield* Effect.scope
      const node: Node = {
        process: yield* spawn,
        metricsPort,
        network,
        restart: (how) =>
          Effect.gen(function* () {
            yield* node.process[how]
            node.process = yield* spawn
          }).pipe(Effect.provideService(Scope.Scope, scope)),
        leap: (ahead) => writeFileSync(clock, String(ahead))
      }
      return node
    })
    const nodes = yield* Effect.forEach(cluster === undefined ? [0] : [0, 1], startNode)
    const crashDatabase =
      cluster &&
      (() => {
        cluster.stop("immediate")
        cluster.start()
      })
    return { nodes, database, databaseNetwork, crashDatabase, backUp: keepRows(database) }
  }
)
