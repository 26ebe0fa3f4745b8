/** Links in Markdown lead somewhere, and the guides name files that exist. */
import { existsSync, globSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, normalize } from "node:path"
import { CloseCode } from "@sealog/server/protocols/Connection"
import { assert, describe, it } from "vitest"

const root = join(import.meta.dirname, "..")
const read = (file: string): string => readFileSync(join(root, file), "utf8")

const foreign = ["node_modules", "dist", "driver", "results", "generated"]
const pages = globSync("**/*.md", {
  cwd: root,
  exclude: (name) => name.split("/").some((part) => foreign.includes(part))
})

const exists = (file: string): boolean => existsSync(join(root, file))

const withoutCode = (text: string): string => text.replace(/^```.*?^```/gms, "").replace(/`[^`\n]*`/g, "")

/** The anchors that GitHub makes of a page's headings. */
const anchorsOf = (page: string): ReadonlyArray<string> =>
  Array.from(read(page).matchAll(/^#+ (.*)$/gm), ([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, "")
      .replaceAll(" ", "-")
  )

/** The folders of a folder, without those that git ignores and those that begin with a dot. */
const foldersIn = (folder: string): ReadonlyArray<string> =>
  readdirSync(join(root, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !/^\.|^(node_modules|coverage|data|dist)$/.test(entry.name))
    .map(({ name }) => name)

const layers = foldersIn("packages/server/src")

/** The files and folders that a page names as code; patterns and placeholders left out. */
const pathsIn = (page: string): ReadonlyArray<string> =>
  Array.from(read(page).matchAll(/`([\w.-]+\/[\w./-]+)`/g), ([, path = ""]) => path)
    .filter((path) => !/NAME|NNNN/.test(path))
    .map((path) => (layers.includes(path.split("/")[0] ?? "") ? `packages/server/src/${path}` : path))

describe("the pages", () => {
  it.each(pages)("%s links to files and headings that exist", (page) => {
    const broken = Array.from(withoutCode(read(page)).matchAll(/\]\(([^)\s]+)\)/g), ([, link = ""]) => link).filter(
      (link) => {
        if (/^[a-z]+:/.test(link)) return false
        const [path = "", anchor] = link.split("#")
        const target = path === "" ? page : normalize(join(dirname(page), path))
        if (!exists(target)) return true
        return anchor !== undefined && !anchorsOf(target).includes(anchor)
      }
    )
    assert.deepStrictEqual(broken, [])
  })

  it.each(["docs/architecture.md", "CONTRIBUTING.md"])("%s names files and folders that exist", (page) => {
    const paths = pathsIn(page)
    assert.isAtLeast(paths.length, 20)
    assert.deepStrictEqual(
      paths.filter((path) => !exists(path)),
      []
    )
  })

  it("the layer table is the one that check-imports holds", () => {
    const source = /mayImport[^=]*= (\{.*?^\})/ms.exec(read("scripts/check-imports.ts"))?.[1] ?? ""
    const rules = Array.from(source.matchAll(/^\s*(\w+): \[(.*)\]/gm), ([, folder = "", list = ""]) => [
      folder,
      list === "" ? "nothing" : list.replaceAll('"', "")
    ])
    const table = /^## Layers.*?^## /ms.exec(read("docs/architecture.md"))?.[0] ?? ""
    const rows = Array.from(table.matchAll(/^\| `(\w+)` *\|.*\| (.*?) *\|$/gm), ([, folder = "", list = ""]) => [
      folder,
      list
    ])
    assert.deepStrictEqual(rows, rules)
  })

  it("the README's layout names every folder", () => {
    const layout = /^## Layout.*?^```\n(.*?)^```/ms.exec(read("README.md"))?.[1] ?? ""
    const named = layout.split("\n").flatMap((line) => line.split(" ")[0] || [])
    const all = foldersIn(".").flatMap((name) =>
      name === "packages" ? foldersIn(name).map((one) => `${name}/${one}`) : [name]
    )
    assert.sameMembers(named, all)
  })

  it("the page of the command line names every command, and that of the server every entry", () => {
    const firstCells = (page: string) =>
      Array.from(read(page).matchAll(/^\| (`.*?) +\|/gm), ([, cell = ""]) =>
        Array.from(cell.matchAll(/`(.*?)`/g), ([, name]) => name)
      ).flat()
    const commands = Object.keys(JSON.parse(read("packages/cli/command-surface.json")))
    const { exports } = JSON.parse(read("packages/server/package.json"))
    const entries = Object.keys(exports).filter((entry) => entry !== "./*")
    assert.includeMembers(firstCells("packages/cli/README.md"), commands)
    assert.includeMembers(
      firstCells("packages/server/README.md"),
      entries.map((entry) => entry.replace(".", "@sealog/server"))
    )
  })

  it.each(pages)("%s shows example files unchanged", (page) => {
    for (const [, file = "", text] of read(page).matchAll(/^```\w+ file=(examples\/\S+)\n(.*?)^```/gms)) {
      assert.strictEqual(text, read(file), file)
    }
  })

  it("the documentation's index leads to every page, and so does the site's navigation, which is made of it", () => {
    const index = pages.filter((page) => /^docs\/(\w+\/)?README\.md$/.test(page))
    const linked = index.flatMap((page) =>
      Array.from(read(page).matchAll(/\]\(([^)#]+)/g), ([, link = ""]) => normalize(join(dirname(page), link)))
    )
    const all = pages.filter((page) => page.startsWith("docs/") && page !== "docs/README.md")
    assert.isAbove(all.length, 90)
    assert.deepStrictEqual(
      all.filter((page) => !linked.includes(page)),
      []
    )
  })

  it("the page of close codes has each code that a server sends", () => {
    const listed = Array.from(read("docs/http.md").matchAll(/^\| (\d{4}) /gm), ([, code]) => Number(code))
    assert.deepStrictEqual(
      listed,
      Object.values(CloseCode).filter((code) => code !== CloseCode.lost)
    )
  })

  it("the index of decisions names every record", () => {
    const records = globSync("[0-9]*.md", { cwd: join(root, "docs/decisions") })
    const index = read("docs/decisions/README.md")
    assert.deepStrictEqual(
      records.filter((record) => !index.includes(`](${record})`)),
      []
    )
  })
})
