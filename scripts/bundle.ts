/**
 * Runs after tsc: bundles the CLI with all that it imports into `packages/cli/bundle`. A command then loads 50 files instead
 * of 600, and starts in a third of the time. See docs/decisions/0040-one-bundle-for-the-command-line.md.
 */
import { globSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { type OutputChunk, rolldown } from "rolldown"
import { licencesOf } from "./licences.ts"

const cli = "packages/cli"
const out = join(cli, "bundle")

/** Machine code, and packages that an app may have installed. They are looked up when they are first used. */
const EXTERNAL = ["sodium-native", "@aws-sdk/credential-providers", "pg-native", "bufferutil", "utf-8-validate"]

const commands = globSync("{commands,hooks}/**/*.js", { cwd: join(cli, "dist") })
const bundle = await rolldown({
  input: {
    main: join(cli, "dist/main.js"),
    ...Object.fromEntries(commands.map((file) => [file.slice(0, -".js".length), join(cli, "dist", file)])),
    // The pool of verifiers starts it as a thread, from the file beside its own.
    "chunks/verifierThread": "packages/server/dist/signatures/verifierThread.js"
  },
  platform: "node",
  external: EXTERNAL,
  onLog: (_level, log) => {
    throw new Error(log.message)
  }
})
// A build that fails leaves the bundle of before.
const fresh = `${out}.new`
rmSync(fresh, { recursive: true, force: true })
const { output } = await bundle.write({
  dir: fresh,
  format: "esm",
  chunkFileNames: "chunks/[name]-[hash].js",
  comments: false
})
const chunks = output.filter((file): file is OutputChunk => file.type === "chunk")

const pool = chunks.find(({ code }) => code.includes('"./verifierThread.js"'))
if (pool === undefined || dirname(pool.fileName) !== "chunks") {
  throw new Error(`The pool of verifiers is in ${pool?.fileName}, so it does not find its thread in chunks.`)
}

const driver = readFileSync("packages/storage-sqlite/driver/SqliteClient.LICENSE", "utf8").trim()
const licences = licencesOf(
  chunks.flatMap(({ moduleIds }) => moduleIds),
  [`@effect/sql-sqlite-node, patched (MIT)\n\n${driver}\n`]
)
writeFileSync(join(fresh, "LICENSES.txt"), licences)
rmSync(out, { recursive: true, force: true })
renameSync(fresh, out)
