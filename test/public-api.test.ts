/** The packages' public API: every entry and every exported name. It changes only by a change of public-api.json. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"

const root = join(import.meta.dirname, "..")

/** The names that a module exports, types too; those of a namespace as `Namespace.name`. */
const namesOf = (file: string): ReadonlyArray<string> => {
  const source = readFileSync(file, "utf8")
  const matches = (pattern: RegExp) => Array.from(source.matchAll(pattern))
  const beside = (path = "") => join(file, "..", path)
  const names = [
    ...matches(/^export (?:abstract )?(?:const|class|function|interface|type) (\w+)/gm).map(([, name = ""]) => name),
    ...matches(/^export (?:type )?\{([^}]*)\}/gm).flatMap(([, listed = ""]) =>
      listed.split(",").map((name) => name.trim().replace(/^type /, ""))
    ),
    ...matches(/^export \* as (\w+) from "(.+)"/gm).flatMap(([, name, path]) =>
      namesOf(beside(path)).map((member) => `${name}.${member}`)
    ),
    ...matches(/^export \* from "(.+)"/gm).flatMap(([, path]) => namesOf(beside(path)))
  ]
  return [...new Set(names)].filter((name) => name !== "").toSorted()
}

const apiOf = (name: string) => {
  const { exports = {} } = JSON.parse(readFileSync(join(root, "packages", name, "package.json"), "utf8"))
  const entries = Object.entries<Record<string, string | null>>(exports)
  return Object.fromEntries(
    entries.map(([entry, { default: built, "@sealog/source": source = "" }]) => [
      `@sealog/${name}${entry.slice(1)}`,
      built === null ? null : namesOf(join(root, "packages", name, source ?? ""))
    ])
  )
}

describe("the public API", () => {
  it("exports exactly the names in public-api.json", () => {
    const packages = readdirSync(join(root, "packages")).toSorted()
    const api = Object.assign({}, ...packages.map(apiOf))
    const written = JSON.parse(readFileSync(join(root, "test/public-api.json"), "utf8"))
    assert.deepStrictEqual(api, written)
  })
})
