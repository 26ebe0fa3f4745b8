import { defineConfig } from "vitest/config"

// Workspace packages are tested from their sources, not from what was last built.
const conditions = ["@sealog/source", "node", "import", "module", "default"]

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ["packages/*/test/**/*.test.ts", "test/**/*.test.ts"],
    testTimeout: 120_000,
    hookTimeout: 60_000,
    // oclif writes to the process's own streams.
    disableConsoleIntercept: true,
    server: { deps: { inline: [/@sealog\//] } }
  }
})
