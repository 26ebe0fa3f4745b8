/** The commands of docs/backup.md, docs/checkpoints.md and docs/erasure.md run as they are shown, one after the other. */
import { mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { freshFolder, root, run, start } from "../packages/support.ts"
import { blocksOf } from "../support/docs/blocks.ts"
import { freePort } from "../support/network/freePort.ts"
import { syncAdmin } from "../support/servers/ServerProcess.ts"

/** A folder with a log that has the document "notes/welcome", and a way to run a page's commands there. */
const openPage = Effect.fnUntraced(function* (page: string) {
  const cwd = freshFolder()
  const node = join(process.execPath, "..")
  const env = { SEALOG_PORT: String(yield* Effect.promise(freePort)) }
  mkdirSync(join(cwd, "data/files"), { recursive: true })
  symlinkSync(join(root, "examples"), join(cwd, "examples"))
  const shell = (command: string) => ["sh", "-ec", command.replace(/^sync-admin/, `exec node "${syncAdmin}"`)]
  /** Runs a command; `serve` is started, and stopped again. Returns its output. */
  const runLine = Effect.fnUntraced(function* (command: string) {
    if (!command.startsWith("sync-admin serve")) return yield* Effect.promise(() => run(shell(command), { cwd, node }))
    const server = start(shell(command), { cwd, node, env })
    yield* Effect.promise(() => server.written(/Listening on/))
    yield* Effect.promise(server.stop)
    return server.output()
  })
  yield* runLine("sync-admin migrate")
  yield* runLine("sync-admin document create notes welcome --new-library")
  const lines = blocksOf(page, readFileSync(join(root, page), "utf8"))
    .filter(({ language }) => language === "sh")
    .flatMap(({ text }) => text.split("\n"))
    .map((line) => line.replace(/ +#.*/, ""))
    .filter((line) => line !== "")
  return { cwd, lines, runLine }
})

describe("the commands of a page", () => {
  it.live("back up, verify and restore", () =>
    Effect.gen(function* () {
      const { lines, runLine } = yield* openPage("docs/backup.md")
      assert.lengthOf(lines, 5)
      for (const line of lines) yield* runLine(line)
      const restored = yield* runLine("sync-admin library list --database sqlite:./new.db")
      assert.include(restored, "notes")
    })
  )

  it.live("sign checkpoints, verify the log by them, and prove its heads", () =>
    Effect.gen(function* () {
      const { cwd, lines, runLine } = yield* openPage("docs/checkpoints.md")
      assert.lengthOf(lines, 8)
      const [makeKey = "", ...others] = lines
      const [verifier = ""] = /sync\.example\.org\/log\+\S+/.exec(yield* runLine(makeKey)) ?? []
      const own = (line: string) => line.replace("sync.example.org/log+3e4f5a6b+AQ…", verifier)
      // The last two name a checkpoint of 120 entries.
      for (const line of others.slice(0, -2)) yield* runLine(own(line))
      const [, entries = ""] = /checkpoint-(\d+)/.exec(readdirSync(join(cwd, "checkpoints")).join(" ")) ?? []
      for (const line of others.slice(-2)) yield* runLine(own(line).replaceAll(/\b120\b/g, entries))
    })
  )

  it.live("delete a document and a library", () =>
    Effect.gen(function* () {
      const { lines, runLine } = yield* openPage("docs/erasure.md")
      assert.isAtLeast(lines.length, 4)
      for (const line of lines.slice(0, 4)) yield* runLine(line)
    })
  )
})
