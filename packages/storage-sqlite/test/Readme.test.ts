import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"

describe("the README", () => {
  it("shows the example file that is type-checked and run", () => {
    const read = (path: string) => readFileSync(join(import.meta.dirname, path), "utf8")
    const [, example] = /^```ts file=examples\/embed-sqlite\.ts\n(.*?)^```/ms.exec(read("../README.md")) ?? []
    assert.strictEqual(example, read("../../../examples/embed-sqlite.ts"))
  })
})
