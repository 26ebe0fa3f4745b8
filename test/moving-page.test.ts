/** The tables of docs/moving.md name tests by file and title, or say why there is none. Each named test must exist. */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"

const docs = join(import.meta.dirname, "../docs")
const page = readFileSync(join(docs, "moving.md"), "utf8")

/** The cells of each row below the heads of the tables. */
const rows = page
  .split("\n")
  .filter((line) => line.startsWith("|") && !/^\|[ |-]+$/.test(line) && !/\| held by +\|$/.test(line))
  .map((line) => line.split(" | ").map((cell) => cell.replace(/^\|| \|$/g, "").trim()))

/** The tests that a cell names: file and title. */
const testsIn = (cell: string) =>
  Array.from(cell.matchAll(/\[[^\]]+\]\(([^)]+\.test\.ts)\)(?: "([^"]+)")?/g), ([, file = "", title]) => ({
    file,
    title
  }))

describe("docs/moving.md", () => {
  it("has a test in each row, or says that there is no such thing and why", () => {
    assert.isAbove(rows.length, 60)
    for (const cells of rows) {
      assert.lengthOf(cells, 3, cells.join(" | "))
      const [theirs = "", ours = "", tests = ""] = cells
      assert.isTrue(testsIn(tests).length > 0 || ours.startsWith("none: "), theirs)
    }
  })

  it("names only tests that exist, by their titles", () => {
    for (const [theirs = "", ours = "", tests = ""] of rows) {
      for (const { file, title } of testsIn(tests)) {
        assert.isTrue(existsSync(join(docs, file)), file)
        const source = readFileSync(join(docs, file), "utf8")
        // The tests of a suite are in the suite.
        if (title === undefined) assert.include(ours, "held to a suite", theirs)
        else
          assert.isTrue(
            [`"${title}"`, `\`${title}\``].some((text) => source.includes(text)),
            title
          )
      }
    }
  })
})
