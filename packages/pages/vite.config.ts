/**
 * Builds one page: `vite build --mode notebook` or `--mode admin`. Each page is a folder of its own, so that a server can show
 * one of them without the other.
 */
import { join } from "node:path"
import { defineConfig } from "vite"
import { licences } from "./licences.ts"

/** The paths at which the server shows the pages. */
const paths: Readonly<Record<string, string>> = { notebook: "/", admin: "/admin/" }

export default defineConfig(({ mode }) => ({
  root: join(import.meta.dirname, "src", mode),
  base: paths[mode] ?? "/",
  define: { "process.env.NODE_ENV": '"production"' },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: join(import.meta.dirname, "../cli/pages", mode),
    emptyOutDir: true,
    // A data: URL is no source that the pages' Content-Security-Policy allows.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 2000
  },
  plugins: [licences()],
  logLevel: "warn"
}))
