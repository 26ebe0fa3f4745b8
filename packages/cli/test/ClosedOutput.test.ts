/** Readers that go away, and terminals that close: a command ends in good order. */
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Effect } from "effect"
import { assert, describe, it } from "vitest"
import { binary, compiled, freshFolder, run, secret, storeDocument } from "./support.ts"

const withDocument = async (updates: number): Promise<string> => {
  const cwd = freshFolder()
  const storage = SqliteStorage.layer({ filename: join(cwd, "data", "sealog.db") })
  await Effect.runPromise(Effect.provide(storeDocument(updates), storage))
  return cwd
}

/** Runs a command whose reader has closed one of its streams. Returns the exit code, and the text in the other stream. */
const runWithout = (closed: "stdout" | "stderr", cwd: string, args: ReadonlyArray<string>) =>
  new Promise<{ readonly code: number | null; readonly text: string }>((resolve, reject) => {
    const child = spawn(process.execPath, [binary, ...args], {
      cwd,
      env: { PATH: process.env["PATH"], HOME: cwd, NODE_COMPILE_CACHE: compiled, TOKEN_SECRET: secret },
      stdio: ["ignore", "pipe", "pipe"]
    })
    child[closed].destroy()
    let text = ""
    child[closed === "stdout" ? "stderr" : "stdout"].on("data", (data) => {
      text += data
    })
    child.on("error", reject)
    child.on("close", (code) => resolve({ code, text }))
  })

describe("a command whose reader goes away", () => {
  it("ends quietly when stdout is closed", async () => {
    const cwd = await withDocument(3)
    for (const args of [
      ["--help"],
      ["--version"],
      ["replay"],
      ["library", "list"],
      ["document", "show", "notes", "welcome"],
      ["stats", "--json"],
      ["token", "mint", "--library", "notes", "--user", "ada"]
    ]) {
      assert.deepStrictEqual(await runWithout("stdout", cwd, args), { code: 0, text: "" }, args.join(" "))
    }
  })

  it("does its work and exits with its own code when stderr is closed", async () => {
    const cwd = await withDocument(0)
    assert.strictEqual((await runWithout("stderr", cwd, ["library", "show", "nothing"])).code, 1)
    const exported = await runWithout("stderr", cwd, ["export"])
    assert.strictEqual(exported.code, 0)
    assert.lengthOf(exported.text.trim().split("\n"), 3)
  })
})

describe("an export to a file", () => {
  it("leaves no part of a file when its terminal closes", async () => {
    const cwd = await withDocument(20)
    const ran = await run(["export", "--output", "backup.jsonl"], {
      cwd,
      terminal: ["stderr"],
      signalAtStderr: { signal: "SIGHUP", fits: /export/ }
    })
    assert.deepStrictEqual([ran.code, /INTERRUPTED/.test(ran.stderr)], [1, true], ran.stderr)
    assert.isFalse(existsSync(join(cwd, "backup.jsonl")))
    assert.isFalse(existsSync(join(cwd, "backup.jsonl.part")))
  })
})
