import { join } from "node:path"
import { defineConfig } from "vitest/config"
import { resolveVerdant } from "./test/support/verdant/resolveVerdant.ts"

// Tests run the sources of workspace packages, not their last build.
const conditions = ["@sealog/source", "node", "import", "module", "default"]

/** The helpers that tests of every package share. `tsconfig.test.json` resolves the same name for types. */
const testSupport = { find: /^#test-support\/(.*)$/, replacement: join(import.meta.dirname, "test/support/$1.ts") }

/** Tests that need neither a database server, nor another program, nor a real client. */
const unit = ["packages/{server,storage-sqlite}/test/**/*.test.ts"]

/** Tests of those packages that take many seconds: files, processes, and messages as large or as many as the limits allow. */
const slow = [
  "packages/server/test/adapters/{FileSystemBlobStore,MemoryBlobStore,S3BlobStore}.test.ts",
  "packages/server/test/domain/verdant/{LargeObjects,ManyOperations}.test.ts",
  "packages/server/test/edge/MemoryBudget.test.ts",
  "packages/server/test/edge/http/files/FileRoutes.test.ts",
  "packages/server/test/edge/ws/{ArrivingMessage,Churn,ClosedByServer,FrameQueue,HostileFrames,SlowClients}.test.ts",
  "packages/server/test/protocols/JsonBudget.test.ts",
  "packages/server/test/protocols/verdant/{Bounds,LargeLibraries}.test.ts",
  "packages/server/test/workers/HandOver.test.ts"
]

/** Tests that hold on every storage, and so run on each. */
const onEachStorage = ["test/secsync/**/*.test.ts", "test/verdant/**/*.test.ts", "test/hostile/**/*.test.ts"]

/** Those of them whose subject is the client, the token or the wire: the storage makes no difference, so they run on SQLite. */
const onOneStorage = [
  "test/secsync/{Access,DocumentIds,Refresh,SigningKeys}.test.ts",
  "test/verdant/{AppMethods,Authz,Clocks,Embedding,EvictedFiles,Files,Fuzz,Idle,KilledUploads,LocalOnly,Migration,Presence,Push,RealWorld,Rebasing,Schema,SlowStorage,Tokens,Truancy,Versions}.test.ts"
]

/** Takes an hour, and runs only when `TEST_OPERATIONS` is set. */
const longRun = process.env["TEST_OPERATIONS"] === undefined ? ["test/verdant/LongRun.test.ts"] : []

/** Tests on the Citus cluster that `TEST_CITUS_URL` names. Without it the project does not exist. */
const citus = {
  extends: true as const,
  test: {
    name: "citus",
    // One of the tests kills a worker.
    fileParallelism: false,
    globalSetup: ["test/support/storage/postgresForAll.ts"],
    provide: { storage: "Citus" as const },
    // Not here: the other tests of `test/postgres` crash or freeze a single Postgres of their own, `test/restore` puts a SQLite
    // file back, and the logs of `test/admin` are in memory.
    include: [
      ...onEachStorage,
      "test/postgres/HeldStream.test.ts",
      "test/processes/**/*.test.ts",
      "test/citus/**/*.test.ts"
    ],
    exclude: [...onOneStorage, ...longRun]
  }
}

export default defineConfig({
  plugins: [resolveVerdant()],
  resolve: { conditions, alias: [testSupport] },
  ssr: { resolve: { conditions } },
  test: {
    // Tests wait for conditions. A timeout only ends a test that hangs, so it allows for a machine that is five times slower.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    teardownTimeout: 120_000,
    // Tests spend half of their time waiting for processes and databases.
    maxWorkers: 3,
    globalSetup: ["test/support/temporaryFolder.ts"],
    // oclif writes to the process's own streams.
    disableConsoleIntercept: true,
    server: { deps: { inline: [/@sealog\//, /@verdant-web/] } },
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: unit,
          exclude: slow,
          // The files share loaded modules: loading them takes longer than most of these tests.
          isolate: false,
          testTimeout: 60_000,
          hookTimeout: 60_000
        }
      },
      {
        extends: true,
        test: {
          name: "sqlite",
          globalSetup: ["test/support/storage/postgresForAll.ts"],
          provide: { storage: "SQLite" },
          include: ["packages/!(server|storage-sqlite)/test/**/*.test.ts", ...slow, "test/**/*.test.ts"],
          exclude: [
            "test/postgres/**",
            "test/processes/**",
            "test/citus/**",
            "test/system/**",
            "test/packages/**",
            "test/container/**",
            ...longRun
          ]
        }
      },
      {
        extends: true,
        test: {
          name: "postgres",
          globalSetup: ["test/support/storage/postgresForAll.ts"],
          provide: { storage: "Postgres" },
          include: [...onEachStorage, "test/postgres/**/*.test.ts", "test/processes/**/*.test.ts"],
          exclude: [...onOneStorage, ...longRun]
        }
      },
      ...(process.env["TEST_CITUS_URL"] === undefined ? [] : [citus])
    ]
  }
})
