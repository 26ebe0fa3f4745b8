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

const held = /\[[^\]]+\]\(([^)]+\.test\.ts)\)(?: "([^"]+)")?/

describe("docs/moving.md", () => {
  it("has a test in each row, or says that there is no such thing and why", () => {
    assert.isAbove(rows.length, 30)
    for (const cells of rows) {
      assert.lengthOf(cells, 3, cells.join(" | "))
      const [theirs = "", ours = "", test = ""] = cells
      assert.isTrue(held.test(test) || ours.startsWith("none: "), theirs)
    }
  })

  it("names only tests that exist", () => {
    for (const [, , test = ""] of rows) {
      const [, file, title] = held.exec(test) ?? []
      if (file === undefined) continue
      assert.isTrue(existsSync(join(docs, file)), file)
      if (title !== undefined) assert.include(readFileSync(join(docs, file), "utf8"), `"${title}"`)
    }
  })
})
