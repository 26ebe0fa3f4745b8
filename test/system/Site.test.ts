/** The site of the documentation, as `pnpm docs:build` builds it: a dead link fails the build. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { beforeAll } from "vitest"
import { root, run, start } from "../packages/support.ts"
import { accessibilityProblems, type Page, shoot, startBrowser } from "../support/browser/Browser.ts"
import { freePort } from "../support/network/freePort.ts"

const docs = join(root, "docs")
const node = join(process.execPath, "..")
const read = (file: string): string => readFileSync(join(docs, ".vitepress/dist", file), "utf8")

/** Runs a script of docs/package.json. */
const command = (name: string, ...args: ReadonlyArray<string>) => [join(docs, "node_modules/.bin", name), ...args]

beforeAll(async () => {
  const { scripts } = JSON.parse(readFileSync(join(docs, "package.json"), "utf8"))
  await run(["sh", "-ec", `PATH=node_modules/.bin:$PATH; ${scripts.build}`], { cwd: docs })
})

const openSite = Effect.gen(function* () {
  const port = String(yield* Effect.promise(freePort))
  const preview = yield* Effect.acquireRelease(
    Effect.sync(() => start(command("vitepress", "preview", "--port", port), { cwd: docs, node })),
    ({ stop }) => Effect.promise(stop)
  )
  yield* Effect.promise(() => preview.written(/http:\/\/localhost:\d+/))
  const url = `http://localhost:${port}`
  const { page } = yield* (yield* startBrowser).open(`${url}/`)
  return { page, url }
})

const isShown = (page: Page, name: string) => page.getByRole("heading", { level: 1, name }).waitFor()

describe("the site of the documentation", () => {
  it("has the types of all public entries, and each command", () => {
    const entries = ["server", "storage-pg", "storage-sqlite"].flatMap((name) => {
      const { exports } = JSON.parse(readFileSync(join(root, "packages", name, "package.json"), "utf8"))
      return Object.keys(exports ?? { ".": "" })
        .filter((entry) => !entry.includes("*"))
        .map((entry) => join(`@sealog/${name}`, entry))
    })
    assert.isAtLeast(entries.length, 10)
    const types = read("api/index.html")
    for (const entry of entries) assert.include(types, `modules/${entry.replace("@", "_").replaceAll("/", "_")}.html`)
    const commands = read("cli.html")
    for (const id of Object.keys(JSON.parse(readFileSync(join(root, "packages/cli/command-surface.json"), "utf8")))) {
      assert.include(commands, `sync-admin ${id}`)
    }
  })

  it("lists every page for language models, with its text beside it", () => {
    const list = read("llms.txt")
    for (const page of ["tutorials/secsync", "embedding", "limits", "log"]) {
      assert.include(list, `(/${page}.md)`)
      assert.match(read(`${page}.md`), /^# /m)
    }
    assert.include(read("llms-full.txt"), "# Two windows with Secsync")
  })

  it.live("is readable in both colour schemes, finds words, and asks nobody else for anything", () =>
    Effect.gen(function* () {
      const { page, url } = yield* openSite
      yield* Effect.promise(async () => {
        const foreign: Array<string> = []
        page.on("request", (request) => {
          if (!request.url().startsWith(url) && !request.url().startsWith("data:")) foreign.push(request.url())
        })
        await page.reload()
        await isShown(page, "Documentation")
        assert.deepStrictEqual(await accessibilityProblems(page), [])
        await shoot(page, "site-home")
        await page.goto(`${url}/tutorials/secsync`)
        await isShown(page, "Two windows with Secsync")
        assert.deepStrictEqual(await accessibilityProblems(page), [])
        await shoot(page, "site-tutorial")
        await page.goto(`${url}/limits`)
        await isShown(page, "Limits")
        await shoot(page, "site-reference")
        await page.getByRole("button", { name: "Search" }).first().click()
        await page.getByRole("searchbox").fill("eviction")
        await page.getByRole("option").getByText("Eviction", { exact: false }).first().waitFor()
        await shoot(page, "site-search")
        await page.goto(`${url}/api/index.html`)
        await page.getByRole("link", { name: "@sealog/server", exact: true }).first().waitFor()
        await shoot(page, "site-types")
        assert.deepStrictEqual(foreign, [])
      })
    })
  )
})
