/** The page of Verdant's conformance names tests by file and title. Each of them must exist. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"

const docs = join(import.meta.dirname, "../docs")
const page = readFileSync(join(docs, "verdant-conformance.md"), "utf8")

/** The tests that the page names, as `[Name](path) "title"`. */
const named = Array.from(page.matchAll(/\[[^\]]+\]\(([^)]+\.test\.ts)\) "([^"]+)"/g), ([, file = "", title = ""]) => ({
  file,
  title
}))

/** The titles of a file's tests: first arguments of `it`, `it.live`, `it.effect`, or of what their `each` returns. */
const titlesIn = (file: string): ReadonlyArray<string> => {
  const calls = readFileSync(join(docs, file), "utf8").matchAll(/(\w*)\(\s*"([^"]+)",/g)
  return Array.from(calls, ([, name = "", title = ""]) => (/^(it|live|effect)?$/.test(name) ? title : ""))
}

describe("docs/verdant-conformance.md", () => {
  it("names only tests that exist", () => {
    const missing = named.filter(({ file, title }) => !titlesIn(file).includes(title))
    assert.deepStrictEqual(missing, [])
  })

  it("names a test in every row", () => {
    const rows = page.split("\n").filter((line) => line.startsWith("| ") && !/^\| (-+|behaviour owed)/.test(line))
    assert.isAbove(rows.length, 50)
    for (const row of rows) assert.match(row, /\.test\.ts\) "[^"]+" *\|$/, row)
  })
})
