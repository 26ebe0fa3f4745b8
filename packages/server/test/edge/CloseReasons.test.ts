/** The reasons of closed connections in the metrics are those that the sources close with. */
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import { CLOSE_REASONS } from "../../src/metrics/Metrics.ts"

const root = join(import.meta.dirname, "../../src")
const sources = globSync("{edge,protocols,rooms}/**/*.ts", { cwd: root })
  .map((file) => readFileSync(join(root, file), "utf8"))
  .join("\n")

/** The texts that a connection is closed with, and those of malformed messages, which become one. */
const closedWith = [
  /close\(\s*CloseCode\.\w+,\s*"([^"]+)"/g,
  /return malformed\("([^"]+)"\)/g,
  /refuseToken\("([^"]+)"\)/g,
  /new HookUndecided\(\{ message: "([^"]+)"/g,
  /class AccessUndecided.*\n.*message = "([^"]+)"/g
].flatMap((pattern) => Array.from(sources.matchAll(pattern), ([, text = ""]) => text))

it("every text that the server closes a connection with is a reason in the metrics", () => {
  assert.isAbove(closedWith.length, 30)
  const declared: ReadonlyArray<string> = [...CLOSE_REASONS.texts, CLOSE_REASONS.shuttingDown]
  assert.deepStrictEqual(
    closedWith.filter((text) => !declared.includes(text)),
    []
  )
})

it("every reason in the metrics is a text that the server closes a connection with", () => {
  // The text of a presence's limit is made with the limit.
  const made = ["a presence has at most 32768 bytes"]
  assert.deepStrictEqual(
    CLOSE_REASONS.texts.filter((text) => !closedWith.includes(text) && !made.includes(text)),
    []
  )
})
