import { defineConfig } from "vitest/config"
import base from "./vitest.config.ts"

/** Tests that need programs of Debian packages, or other packages of npm's registry. `pnpm test` needs neither. */
export default defineConfig({
  ...base,
  test: {
    ...base.test,
    projects: [
      {
        extends: true,
        test: {
          name: "system",
          globalSetup: ["test/system/needsPrograms.ts", "test/support/storage/postgresForAll.ts"],
          provide: { storage: "Postgres" },
          include: ["test/system/**/*.test.ts"]
        }
      },
      { extends: true, test: { name: "packages", include: ["test/packages/**/*.test.ts"] } },
      {
        extends: true,
        test: {
          name: "container",
          globalSetup: ["test/container/needsPrograms.ts"],
          include: ["test/container/**/*.test.ts"]
        }
      }
    ]
  }
})
