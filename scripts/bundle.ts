/**
 * Runs after tsc: bundles the CLI with all that it imports into `packages/cli/bundle`. A command then loads 50 files instead
 * of 600, and starts in a third of the time. See docs/decisions/0040-one-bundle-for-the-command-line.md.
 */
import { globSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { type OutputChunk, rolldown } from "rolldown"
import { licencesOf } from "./licences.ts"

const cli = "packages/cli"
const out = join(cli, "bundle")

/** Machine code, and packages that an app may have installed. They are looked up when they are first used. */
const EXTERNAL = ["sodium-native", "@aws-sdk/credential-providers", "pg-native", "bufferutil", "utf-8-validate"]

const THREADS = [
  "packages/server/dist/signatures/verifierThread.js",
  "packages/server/dist/protocols/secsync/decoderThread.js",
  "packages/storage-sqlite/dist/appendThread.js"
]

const commands = globSync("{commands,hooks}/**/*.js", { cwd: join(cli, "dist") })
const bundle = await rolldown({
  input: {
    main: join(cli, "dist/main.js"),
    ...Object.fromEntries(commands.map((file) => [file.slice(0, -".js".length), join(cli, "dist", file)])),
    // Started as threads, from the file beside the one that starts them.
    ...Object.fromEntries(THREADS.map((file) => [`chunks/${basename(file, ".js")}`, file]))
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

for (const file of THREADS) {
  const starter = chunks.find(({ code }) => code.includes(`"./${basename(file)}"`))
  if (starter === undefined || dirname(starter.fileName) !== "chunks") {
    throw new Error(`${starter?.fileName} starts ${basename(file)}, so it does not find it in chunks.`)
  }
}

const driver = readFileSync("packages/storage-sqlite/driver/SqliteClient.LICENSE", "utf8").trim()
const licences = licencesOf(
  chunks.flatMap(({ moduleIds }) => moduleIds),
  [`@effect/sql-sqlite-node, patched (MIT)\n\n${driver}\n`]
)
writeFileSync(join(fresh, "LICENSES.txt"), licences)
rmSync(out, { recursive: true, force: true })
renameSync(fresh, out)
