/** A command loads the code that its work needs, and no more: loading takes most of the time of a short command. */
import { spawnSync } from "node:child_process"
import { existsSync, globSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "vitest"
import { binary, freshFolder, run, secret } from "./support.ts"

const bundle = join(dirname(binary), "..", "bundle")

/** Runs a command. Returns the text of each file that it loaded from the bundle. */
const loadedBy = (...args: ReadonlyArray<string>): ReadonlyArray<string> => {
  const folder = freshFolder()
  const list = join(folder, "loaded")
  writeFileSync(
    join(folder, "record.cjs"),
    `const { appendFileSync } = require("node:fs")
require("node:module").registerHooks({
  load: (url, context, next) => {
    if (url.startsWith("file:")) appendFileSync(${JSON.stringify(list)}, url + "\\n")
    return next(url, context)
  }
})`
  )
  const { status, stderr } = spawnSync(process.execPath, ["--require", join(folder, "record.cjs"), binary, ...args], {
    cwd: folder,
    env: { PATH: process.env["PATH"], HOME: folder, TOKEN_SECRET: secret, NODE_DISABLE_COMPILE_CACHE: "1" },
    encoding: "utf8"
  })
  assert.strictEqual(status, 0, stderr)
  const files = readFileSync(list, "utf8")
    .trim()
    .split("\n")
    .map((url) => fileURLToPath(url))
  return files.filter((file) => file.startsWith(bundle)).map((file) => readFileSync(file, "utf8"))
}

/** A text that only the named code contains. */
const MARKS = {
  effect: "~effect/Effect",
  schema: "~effect/Schema",
  sqlite: "DatabaseSync",
  postgres: "SCRAM-SHA-256",
  server: "SyncServer",
  sodium: "sodium-native"
} as const

const codeIn = (texts: ReadonlyArray<string>) =>
  Object.entries(MARKS).flatMap(([name, mark]) => (texts.some((text) => text.includes(mark)) ? [name] : []))

describe("starting a command", () => {
  it("each mark is found in the bundle", () => {
    const files = globSync("**/*.js", { cwd: bundle }).map((file) => readFileSync(join(bundle, file), "utf8"))
    assert.deepStrictEqual(codeIn(files), Object.keys(MARKS))
  })

  it("--version and --help load nothing of the bundle", () => {
    for (const args of [
      ["--version"],
      [],
      ["--help"],
      ["suspend", "--help"],
      ["help", "token", "mint"],
      ["token", "-h"]
    ]) {
      assert.deepStrictEqual(loadedBy(...args), [], args.join(" "))
    }
  })

  it("the help that the build wrote is the one that oclif prints", async () => {
    const cwd = freshFolder()
    for (const args of [["--help"], ["serve", "--help"], ["backup", "--help"], ["token", "keys", "--help"]]) {
      const [written, printed] = [await run(args, { cwd }), await run(args, { cwd, env: { OCLIF_COLUMNS: "80" } })]
      assert.deepStrictEqual(written, printed)
    }
  })

  it("token mint loads no database and no server", () => {
    const loaded = loadedBy("token", "mint", "--library", "notes", "--user", "ada")
    assert.deepStrictEqual(codeIn(loaded), ["effect", "schema"])
    assert.isBelow(loaded.length, 25)
  })

  it("a command that needs no Effect loads a handful of files", () => {
    const loaded = loadedBy("config")
    assert.deepStrictEqual(codeIn(loaded), [])
    assert.isBelow(loaded.length, 6)
  })

  it("a command runs as if oclif had looked for it", async () => {
    const cwd = freshFolder()
    for (const args of [
      ["config", "--json"],
      ["config", "unexpected"],
      ["config", "--prot", "80"],
      ["token", "inspect", "no-token", "--json"],
      ["token", "unknown"],
      ["replica", "list"],
      ["suspend", "Notes", "--database", "sqlite:./none.db"],
      ["completion", "fish"]
    ]) {
      // With this variable oclif looks for each command.
      const [direct, byOclif] = [await run(args, { cwd }), await run(args, { cwd, env: { DEBUG: "nothing" } })]
      assert.deepStrictEqual(direct, byOclif, args.join(" "))
    }
  })

  it("a command loads the driver of its own database", () => {
    assert.deepStrictEqual(codeIn(loadedBy("migrate")), ["effect", "schema", "sqlite", "sodium"])
  })

  it("the compiled code is kept in the user's own folder", async () => {
    const folder = freshFolder()
    const { code } = await run(["config"], { cwd: folder, env: { NODE_COMPILE_CACHE: undefined } })
    assert.strictEqual(code, 0)
    assert.isTrue(existsSync(join(folder, ".cache", "sync-admin", "compiled")))
  })

  it("the thread that verifies signatures lies beside the code that starts it", () => {
    for (const thread of ["verifierThread.js", "decoderThread.js", "appendThread.js"]) {
      assert.isTrue(existsSync(join(bundle, "chunks", thread)))
    }
  })
})
