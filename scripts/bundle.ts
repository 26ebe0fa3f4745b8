/**
 * Runs after tsc: bundles the CLI with all that it imports into `packages/cli/bundle`. A command then loads 20 files instead
 * of 600. See docs/decisions/0040-one-bundle-for-the-command-line.md, and 0060-commands-without-a-search.md.
 */
import { globSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { type OutputChunk, rolldown } from "rolldown"
import { asciiText } from "./asciiText.ts"
import { exactImports } from "./exactImports.ts"
import { lazyRequires } from "./lazyRequires.ts"
import { licencesOf } from "./licences.ts"
import { plainBuiltins } from "./plainBuiltins.ts"

const cli = "packages/cli"
const out = join(cli, "bundle")

/** Machine code, and packages that an app may have installed. They are looked up when they are first used. */
const EXTERNAL = ["sodium-native", "@aws-sdk/credential-providers", "pg-native", "bufferutil", "utf-8-validate"]

/**
 * Code that is loaded together, with what it imports. A file takes half a millisecond of processor time to load, however small it
 * is, so that the bundler's own division into chunks of a few lines takes longer than code that a command does not need.
 */
const GROUPS = [
  { name: "start", test: /packages\/cli\/dist\/(BaseCommand|directCommand|input\/databaseUrl)/, priority: 3 },
  { name: "effect", test: /\/effect\/dist\//, minShareCount: 40, priority: 2 },
  {
    name: "tokens",
    test: /packages\/(server\/dist\/adapters\/JwtAccess|cli\/dist\/input\/(durations|ids|secrets|tokenSettings))/,
    priority: 1
  }
]

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
  // A command does without the modules of an index that it does not use.
  treeshake: { moduleSideEffects: [{ test: /packages\/[a-z-]+\/dist\//, sideEffects: false }] },
  plugins: [exactImports, lazyRequires, plainBuiltins, asciiText],
  // One command imports a module at its start that another imports when it needs it.
  checks: { ineffectiveDynamicImport: false },
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
  comments: false,
  codeSplitting: { groups: GROUPS }
})
const chunks = output.filter((file): file is OutputChunk => file.type === "chunk")

for (const file of THREADS) {
  const starter = chunks.find(({ code }) => code.includes(`"./${basename(file)}"`))
  if (starter === undefined || dirname(starter.fileName) !== "chunks") {
    throw new Error(`${starter?.fileName} starts ${basename(file)}, so it does not find it in chunks.`)
  }
  const importer = chunks.find(({ imports }) => imports.includes(`chunks/${basename(file)}`))
  if (importer !== undefined) {
    throw new Error(
      `${importer.fileName} imports ${basename(file)}, so what is for a thread would run in the command itself.`
    )
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
