import { defineConfig } from "vitest/config"
import base from "./vitest.config.ts"

/** What needs programs from Debian's packages; the plain test command needs npm alone. */
export default defineConfig({
  ...base,
  test: {
    ...base.test,
    projects: [
      {
        extends: true,
        test: {
          name: "system",
          globalSetup: ["test/system/needsPrograms.ts", "test/support/postgresForAll.ts"],
          provide: { storage: "Postgres" },
          include: ["test/system/**/*.test.ts"]
        }
      }
    ]
  }
})
