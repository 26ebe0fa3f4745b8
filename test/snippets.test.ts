/** The blocks of code in the pages stay true: each is run, or checked, or listed with the reason why it is not. */
import { spawnSync } from "node:child_process"
import { cpSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { assert, describe, it, onTestFinished } from "vitest"
import { blocksOf } from "./support/docs/blocks.ts"
import { commandsIn, problemsOf } from "./support/docs/commands.ts"
import { frames } from "./support/docs/frames.ts"

const root = join(import.meta.dirname, "..")
const read = (file: string): string => readFileSync(join(root, file), "utf8")

const pages = globSync(["*.md", "bench/*.md", "docs/**/*.md", "packages/*/README.md"], {
  cwd: root,
  exclude: (name) => ["node_modules", ".vitepress"].includes(basename(name))
})
const blocks = pages.flatMap((page) => blocksOf(page, read(page)))

/** Blocks that another test runs as they are shown: where the place begins, the language, the test. */
const run = [
  ["README.md: ", "sh", "test/readme.test.ts"],
  ["docs/tutorials/", "sh", "test/system/Tutorials.test.ts"],
  ["docs/tutorials/", "js", "test/system/Tutorials.test.ts"],
  ["docs/tutorials/", "jsx", "test/system/Tutorials.test.ts"],
  ["docs/tutorials/", "html", "test/system/Tutorials.test.ts"],
  ["docs/runbooks/", "sh", "test/system/Runbooks.test.ts"],
  ["docs/tokens.md: ", "sh", "test/examples/TokenEndpoint.test.ts"],
  ["docs/backup.md: ", "sh", "test/examples/Commands.test.ts"],
  ["docs/checkpoints.md: ", "sh", "test/examples/Commands.test.ts"],
  ["docs/erasure.md: Deleting for good", "sh", "test/examples/Commands.test.ts"],
  ["docs/changes.md: Webhooks", "python", "test/system/PythonReceiver.test.ts"]
] as const

/** Blocks that no test runs as they are shown: how many, where, and why. Each command of sync-admin in them is checked below. */
const notRun = [
  [1, "CONTRIBUTING.md: ", "sh", "they start the tests and checks themselves"],
  [1, "bench/README.md: ", "sh", "they measure for hours"],
  [1, "bench/RESULTS.md: ", "mermaid", "a drawing"],
  [
    4,
    "docs/admin-api.md: ",
    "sh",
    "they name a server on the internet; packages/cli/test/ByServer.test.ts runs commands by one"
  ],
  [2, "docs/changes.md: ", "sh", "they follow changes, and name a webhook; packages/cli/test/Webhooks.test.ts has one"],
  [1, "docs/erasure.md: Removing the ids as well", "sh", "it needs jq"],
  [1, "docs/operations.md: ", "sh", "it needs a collector; test/processes/Traces.test.ts starts one"],
  [
    4,
    "docs/self-host.md: ",
    "sh",
    "they need root, Docker, or a cluster; test/system and test/container start the files of deploy"
  ],
  [
    1,
    "docs/standby.md: ",
    "sh",
    "the primary is another machine's; packages/cli/test/Standby.test.ts has two databases"
  ],
  [5, "packages/", "sh", "npm does not have this build; test/packages installs its tarballs"]
] as const

const ofLanguage = (name: string) => blocks.filter(({ file, language }) => language === name && file === undefined)

describe("the blocks of the pages", () => {
  it("are run or checked by a test, or listed with a reason", () => {
    const tests = globSync(["test/**/*.test.ts"], { cwd: root }).map(read)
    const isListed = ({ language, place }: (typeof blocks)[number]) =>
      [...run, ...notRun.map(([, ...entry]) => entry)].some(
        ([start, listed]) => place.startsWith(start) && language === listed
      )
    const isHeld = (block: (typeof blocks)[number]) =>
      block.file === undefined
        ? ["", "json", "toml", "ts"].includes(block.language) || isListed(block)
        : tests.some((test) => test.includes(block.file ?? ""))
    assert.isAbove(blocks.length, 120)
    assert.deepStrictEqual(
      blocks.filter((block) => !isHeld(block)).map(({ language, place }) => [place, language]),
      []
    )
    // A block without a language shows output.
    const isShell = ({ text }: (typeof blocks)[number]) => /^(sync-admin|npm|npx|curl|export) /m.test(text)
    assert.deepStrictEqual(ofLanguage("").filter(isShell), [])
    const countOf = (start: string, listed: string) =>
      blocks.filter(({ file, language, place }) => file === undefined && place.startsWith(start) && language === listed)
        .length
    assert.deepStrictEqual(
      run.filter(([start, language]) => countOf(start, language) === 0),
      []
    )
    // A block more must be run, or counted here.
    for (const [count, start, language] of notRun) assert.strictEqual(countOf(start, language), count, start)
    assert.deepStrictEqual(
      run.map(([, , test]) => test).filter((test) => !existsSync(join(root, test))),
      []
    )
  })

  it("the TypeScript of the pages fits the public types", () => {
    const folder = mkdtempSync(join(tmpdir(), "sealog-snippets-"))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"))
    cpSync(join(root, "examples/storage/JournalEventLog.ts"), join(folder, "JournalEventLog.ts"))
    const write = (file: string, text: string) => writeFileSync(join(folder, file), text)
    const fragments = Map.groupBy(ofLanguage("ts"), ({ place }) => place)
    assert.isAbove(fragments.size, 14)
    assert.deepStrictEqual(
      Object.keys(frames).filter((place) => frames[place]?.length !== fragments.get(place)?.length),
      []
    )
    for (const [place, shown] of fragments) {
      const name = place.replace(/\W+/g, "-")
      for (const [i, { text }] of shown.entries()) {
        const frame = frames[place]?.[i] ?? "FRAGMENT"
        write(
          `${name}-${i}.ts`,
          frame.replace("FRAGMENT", () => text)
        )
      }
    }
    const { lib, exactOptionalPropertyTypes, module, strict, target, types } = JSON.parse(
      read("tsconfig.base.json")
    ).compilerOptions
    const compilerOptions = { lib: [...lib, "dom"], exactOptionalPropertyTypes, module, strict, target, types }
    const checking = { allowImportingTsExtensions: true, moduleDetection: "force", noEmit: true, skipLibCheck: true }
    write("tsconfig.json", JSON.stringify({ compilerOptions: { ...compilerOptions, ...checking } }))
    write("package.json", JSON.stringify({ type: "module" }))
    const { status, stdout } = spawnSync(join(root, "node_modules/.bin/tsc"), ["-p", folder], { encoding: "utf8" })
    assert.strictEqual(status, 0, stdout)
  })

  it("the commands of sync-admin exist, with their flags and arguments", () => {
    const shown = ofLanguage("sh").flatMap(({ place, text }) => commandsIn(text).map((words) => ({ place, words })))
    assert.isAbove(shown.length, 100)
    assert.deepStrictEqual(
      // `autocomplete` is a plugin's.
      shown
        .filter(({ words }) => words[0] !== "autocomplete")
        .flatMap(({ place, words }) => problemsOf(words).map((problem) => [place, words.join(" "), problem])),
      []
    )
  })

  it("the JSON parses, and the keys of the settings file are flags of serve", () => {
    for (const { text } of ofLanguage("json")) JSON.parse(text)
    for (const { place, text } of ofLanguage("toml")) {
      let table = ""
      for (const line of text.split("\n")) {
        table = /^\[(.*)\]$/.exec(line)?.[1]?.concat("-") ?? table
        const key = /^([\w-]+) = /.exec(line)?.[1]
        if (key !== undefined) assert.deepStrictEqual(problemsOf(["serve", `--${table}${key}=value`]), [], place)
      }
    }
  })
})
