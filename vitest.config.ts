import { defineConfig } from "vitest/config"
import { resolveVerdant } from "./test/support/verdant/resolveVerdant.ts"

// Workspace packages are tested from their sources, not from what was last built.
const conditions = ["@sealog/source", "node", "import", "module", "default"]

/** Tests that say nothing of a storage, and so run on each. */
const onEachStorage = ["test/secsync/**/*.test.ts", "test/verdant/**/*.test.ts"]

/** Only when it is asked for: it takes an hour. */
const longRun = process.env["TEST_OPERATIONS"] === undefined ? ["test/verdant/LongRun.test.ts"] : []

export default defineConfig({
  plugins: [resolveVerdant()],
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    // What is waited for is a condition; these only end what would hang, also on a machine that is ten times slower.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    teardownTimeout: 120_000,
    // Half of their time they wait, for processes and databases.
    maxWorkers: 2,
    // oclif writes to the process's own streams.
    disableConsoleIntercept: true,
    server: { deps: { inline: [/@sealog\//, /@verdant-web/] } },
    projects: [
      {
        extends: true,
        test: {
          name: "sqlite",
          globalSetup: ["test/support/postgresForAll.ts"],
          provide: { storage: "SQLite" },
          include: ["packages/*/test/**/*.test.ts", "test/**/*.test.ts"],
          exclude: ["test/postgres/**", "test/processes/**", "test/system/**", ...longRun]
        }
      },
      {
        extends: true,
        test: {
          name: "postgres",
          globalSetup: ["test/support/postgresForAll.ts"],
          provide: { storage: "Postgres" },
          include: [...onEachStorage, "test/postgres/**/*.test.ts", "test/processes/**/*.test.ts"],
          exclude: longRun
        }
      }
    ]
  }
})
