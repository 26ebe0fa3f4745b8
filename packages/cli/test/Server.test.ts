/** Commands that ask a running server. */
import { spawn } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { connectRaw } from "#test-support/clients/RawSecsync"
import { binary, errorOf, freshFolder, jsonOf, run, serve } from "./support.ts"

describe("a server with --admin", () => {
  const scope = Scope.makeUnsafe()
  const cwd = freshFolder()
  let server: Awaited<ReturnType<typeof serve>>
  let env: Record<string, string> = {}
  const sealog = (...args: ReadonlyArray<string>) => run(args, { cwd, env })
  const mint = async (...args: ReadonlyArray<string>) => (await sealog("token", "mint", ...args)).stdout.trim()
  const connect = async (documentId: string, userId: string) => {
    const token = await mint("--library", "notes", "--user", userId)
    const options = { url: `ws://127.0.0.1:${server.port}`, documentId, token }
    return Effect.runPromise(Scope.provide(connectRaw(options), scope))
  }

  beforeAll(async () => {
    server = await serve(["--admin"], { cwd })
    const url = `http://127.0.0.1:${server.port}`
    env = { SEALOG_SERVER: url, ADMIN_TOKEN: await mint("--admin", "--user", "grace") }
  })
  afterAll(async () => {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await server.stop("SIGTERM")
  })

  it("lists its connections, and closes those that are named", async () => {
    assert.strictEqual((await sealog("connections")).stdout.trim(), "No connections.")
    await connect("diary", "ada")
    const bob = await connect("plans", "bob")
    const { connections } = jsonOf("connections", await sealog("connections", "--json"))
    assert.lengthOf(connections as ReadonlyArray<unknown>, 2)
    const { stdout } = await sealog("connections", "--user", "bob")
    assert.match(stdout, /plans/)
    assert.notMatch(stdout, /diary/)

    assert.deepStrictEqual(jsonOf("disconnect", await sealog("disconnect", "--user", "bob", "--json")), {
      disconnected: 1
    })
    assert.strictEqual((await Effect.runPromise(bob.closed)).code, 1013)
    assert.strictEqual((await sealog("disconnect", "--user", "bob")).stdout.trim(), "No such connections.")
    assert.strictEqual(errorOf(await sealog("disconnect", "--json")).code, "USAGE")
  })

  it("says that a library is not there, like every command", async () => {
    assert.strictEqual((await sealog("document", "create", "shelf", "books", "--new-library")).code, 0)
    for (const command of ["connections", "disconnect"]) {
      assert.strictEqual((await sealog(command, "--library", "shelf")).code, 0, command)
      const mistyped = await sealog(command, "--library", "typo", "--json")
      assert.deepStrictEqual([mistyped.code, errorOf(mistyped).code], [1, "NO_SUCH_LIBRARY"], command)
      assert.strictEqual(errorOf(mistyped).try, "sync-admin library list, with the same --server")
    }
  })

  it("shows what it does now", async () => {
    const figures = jsonOf("top", await sealog("top", "--interval", "1", "--json"))
    assert.deepStrictEqual(figures["connections"], { secsync: 1, verdant: 0 })
    assert.match((await sealog("top", "--interval", "1")).stdout, /slowest commit/)
  })

  it("clears a terminal before each interval, until it is stopped", async () => {
    const seen = await new Promise<string>((resolve, reject) => {
      const terminal = join(cwd, "terminal.cjs")
      writeFileSync(terminal, "Object.assign(process.stdout, { isTTY: true, getWindowSize: () => [100, 50] })")
      const args = ["--require", terminal, binary, "top", "--interval", "1"]
      const child = spawn(process.execPath, args, { cwd, env: { PATH: process.env["PATH"], HOME: cwd, ...env } })
      let stdout = ""
      child.stdout.on("data", (data) => {
        stdout += data
        if (stdout.split("slowest commit").length > 2) child.kill("SIGINT")
      })
      child.stderr.on("data", (data) => reject(new Error(String(data))))
      child.on("error", reject).on("close", () => resolve(stdout))
    })
    assert.isAtLeast(seen.split("\u001b[2J\u001b[H").length, 3)
  })

  it("says what is wrong: no token, a client's token, a server without the API, and no server", async () => {
    const failure = async (changes: Record<string, string>) =>
      errorOf(await run(["connections", "--json"], { cwd, env: { ...env, ...changes } })).code
    assert.strictEqual(await failure({ ADMIN_TOKEN: "" }), "NO_ADMIN_TOKEN")
    assert.strictEqual(await failure({ SEALOG_SERVER: "localhost:4000" }), "SERVER_URL_INVALID")
    const client = await mint("--library", "notes", "--user", "ada")
    assert.strictEqual(await failure({ ADMIN_TOKEN: client }), "NOT_ADMINISTRATOR")
    assert.strictEqual(await failure({ SEALOG_SERVER: "http://127.0.0.1:1" }), "SERVER_UNREACHABLE")
    const plain = await serve([], { cwd: freshFolder() })
    assert.strictEqual(await failure({ SEALOG_SERVER: `http://127.0.0.1:${plain.port}` }), "SERVER_UNREACHABLE")
    await plain.stop("SIGTERM")
  })
})
