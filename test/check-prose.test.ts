/** The check of prose finds each kind of hidden actor in each kind of text, and lets plain sentences pass. */
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, assert, describe, it } from "@effect/vitest"

const script = join(import.meta.dirname, "../scripts/check-prose.ts")
const trees: Array<string> = []

/** Runs the check in a folder of these files. The lines are the findings, then the counts. */
const check = (files: Readonly<Record<string, string>>, ...paths: ReadonlyArray<string>) => {
  const folder = mkdtempSync(join(tmpdir(), "check-prose-"))
  trees.push(folder)
  for (const [file, source] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), source)
  }
  const { status, stderr } = spawnSync(process.execPath, [script, ...paths], { cwd: folder, encoding: "utf8" })
  return { status, lines: stderr.split("\n").filter((line) => line !== "") }
}

afterEach(() => {
  for (const folder of trees.splice(0)) rmSync(folder, { recursive: true })
})

describe("check-prose", () => {
  it("finds hidden actors in comments, Markdown, help, errors, log messages and test names", () => {
    const { lines, status } = check({
      "a/comments.ts": [
        "// What was sent before is kept.",
        "const a = 1 // Whoever asks is answered.",
        "/**",
        " * The room is open. Nobody is told",
        " * before the commit.",
        " */",
        'const b = "// What looks like a comment is a string."',
        "// It is read",
        "// anew.",
        "const c = `${[",
        "  // One that polls is answered later.",
        "]}`"
      ].join("\n"),
      "a/page.md": [
        "# A page",
        "The server is told of it. Those who wait",
        "are answered.",
        "",
        "- Somebody waits for this item.",
        "",
        "| part | use |",
        "| a | Whatever comes is kept |",
        "",
        "```sh",
        "serve # what the server does",
        "```",
        "```ts",
        "// Who is connected is told.",
        "```"
      ].join("\n"),
      "packages/cli/src/serve.ts": [
        'export const description = "what the server keeps for a client"',
        'const fail = () => new Failure("One who has no token is refused.")',
        'Effect.logWarning("In earnest it fails.")'
      ].join("\n"),
      "test/Room.test.ts": [
        'describe("who comes first", () => {',
        '  it.effect("meanwhile keeps the order", () => run)',
        '  it.each([1])("what %s is", (n) => n)',
        "})"
      ].join("\n")
    })
    const found = lines.map((line) => /^(\S+?:\d+): /.exec(line)?.[1] ?? line)
    assert.deepStrictEqual(found, [
      "a/comments.ts:1",
      "a/comments.ts:2",
      "a/comments.ts:4",
      "a/comments.ts:8",
      "a/comments.ts:11",
      "a/page.md:2",
      "a/page.md:2",
      "a/page.md:5",
      "a/page.md:8",
      "a/page.md:11",
      "a/page.md:14",
      "packages/cli/src/serve.ts:1",
      "packages/cli/src/serve.ts:2",
      "packages/cli/src/serve.ts:3",
      "test/Room.test.ts:1",
      "test/Room.test.ts:2",
      "test/Room.test.ts:3",
      "11 in a",
      "3 in packages/cli",
      "3 in test"
    ])
    assert.isTrue(lines[2]?.endsWith(": Nobody is told before the commit."), lines[2])
    assert.strictEqual(status, 1)
  })

  it("lets plain sentences, code, headings that ask, and folders of others pass", () => {
    const result = check(
      {
        "a/comments.ts": [
          "// The room decides what to store. Then the author, who waits, is answered.",
          "/** Returns `meanwhile`, the name of a field. */",
          'const what = /\'what is "quoted"/.test("What a value is")',
          "it(`decides who goes first`, () => what / 2)"
        ].join("\n"),
        "a/page.md": [
          "## What is promised?",
          "",
          "See [the page](anew.md). An event, e.g. what an author wrote, stays.",
          "",
          "| what | at most |",
          "",
          "```ts",
          'const text = "What is in code is no prose."',
          "```"
        ].join("\n"),
        "packages/cli/src/serve.ts": 'const id = "whoever"\nconst { readFile } = Files // The file is read once.',
        "a/node_modules/b/README.md": "What others write is theirs."
      },
      "a",
      "packages/cli/src/serve.ts"
    )
    assert.deepStrictEqual(result, { status: 0, lines: [] })
  })

  it("does not take an empty folder for a good one", () => {
    assert.strictEqual(check({}).status, 1)
  })
})
