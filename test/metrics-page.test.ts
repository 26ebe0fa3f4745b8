/** The pages that name metrics: every name is in a real scrape, and every metric of the scrape is on its page. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { allFamilies } from "@sealog/server/metrics/Family"
import { Effect } from "effect"
import { metricsTable, writtenTable } from "../scripts/metrics-table.ts"
import { scrape } from "./support/servers/scrape.ts"
import { startMemoryServer } from "./support/servers/TestServer.ts"

const read = (file: string): string => readFileSync(join(import.meta.dirname, "..", file), "utf8")

/** The files that name metrics, from the root. */
const FILES = [
  ...["docs/limits.md", "docs/metrics.md"],
  ...["deploy/observability/alerts.yml", "deploy/observability/dashboard.json"]
]

const metric = /\b((?:sealog|process)_[a-z_]+?)(?:_bucket|_sum|_count)?\b(?!_)(?:\{([^}]*)\})?/g

/** The metrics that a text names, with the labels that choose a series of them. */
const namedIn = (text: string) =>
  Array.from(text.matchAll(metric), ([, name = "", selector = ""]) => ({
    name,
    labels: Array.from(
      selector.matchAll(/(\w+)=\\?"([^"\\]*)\\?"/g),
      ([, label = "", value = ""]) => [label, value] as const
    )
  }))

describe("the pages of metrics", () => {
  it("hold the table of the declarations", () => {
    assert.strictEqual(writtenTable(), metricsTable(), "run: node --conditions=@sealog/source scripts/metrics-table.ts")
  })

  it.live.each(FILES)("%s names only metrics of a real scrape, with their labels", (file) =>
    Effect.gen(function* () {
      const { names } = yield* scrape(yield* startMemoryServer({ metrics: { port: 0 } }))
      const named = namedIn(read(file))
      assert.isNotEmpty(named)
      const families = new Map(
        allFamilies().map((family) => [family.declaration.name, family.declaration.labels ?? {}])
      )
      for (const { labels, name } of named) {
        assert.include(names, name)
        for (const [label, value] of labels)
          assert.include(families.get(name)?.[label] ?? [], value, `${name}: ${label}`)
      }
    })
  )

  it("every limit of the page names a metric, or says that there is none", () => {
    const tables =
      read("docs/limits.md")
        .split("\n## Memory")[0]!
        .match(/^\| limit .*\n(\|.*\n)+/gm) ?? []
    const limits = tables.flatMap((table) => table.trim().split("\n").slice(2))
    assert.isAbove(limits.length, 50)
    for (const row of limits) assert.match(row.split("|").at(-2) ?? "", /sealog_|^ none: |^ the same /, row)
  })
})
