/** The README stays true: its snippets are the example files, and its commands run. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { assert, describe, it, vi } from "vitest"
import { post, syncResponse } from "./support/clients/RawVerdant.ts"
import { freePort } from "./support/network/freePort.ts"
import { TOKEN_SECRET } from "./support/servers/TestServer.ts"
import { administer, emptyDatabase } from "./support/storage/databases.ts"
import { libraryOn } from "./support/verdant/Library.ts"
import { initialize, makeReplica } from "./support/verdant/Replica.ts"
import { writeShard } from "./support/verdant/shards.ts"

// The commands of the README start dozens of processes.
vi.setConfig({ testTimeout: 600_000 })

const root = join(dirname(fileURLToPath(import.meta.url)), "..")
const readme = readFileSync(join(root, "README.md"), "utf8")
const { scripts, packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

const blocks = Array.from(readme.matchAll(/^```(\w+)(?: file=(\S+))?\n(.*?)^```/gms), ([, language, file, text]) => ({
  language,
  file,
  text: text ?? ""
}))
const shell = blocks.filter(({ language }) => language === "sh").map(({ text }) => text.trim())

/** A folder in which `sync-admin`, `node` and `npx` are those of this checkout. */
const makeFolder = () => {
  const folder = mkdtempSync(join(tmpdir(), "sealog-readme-"))
  const bin = join(folder, "bin")
  mkdirSync(bin)
  symlinkSync(process.execPath, join(bin, "node"))
  const script = (name: string, text: string) => writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
  script("sync-admin", `exec node "${join(root, "packages/cli/bin/sync-admin.js")}" "$@"`)
  // Skips the package manager itself, which is installed already, and runs the command that it would execute.
  script("npx", `[ "$1 $2 $3" = "-y ${packageManager} exec" ] || exit 64\nshift 3\nexec "$@"`)
  symlinkSync(join(root, "examples"), join(folder, "examples"))
  mkdirSync(join(folder, "verdant-dbs"))
  writeShard(join(folder, "verdant-dbs"), "plans", { replicas: [], baselines: [], operations: [] })
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env["PATH"]}`, TOKEN_SECRET: undefined }
  return { folder, env }
}

/** Waits for a text in a process's output. */
const untilPrinted = (child: ChildProcess, pattern: RegExp): Promise<RegExpExecArray> =>
  new Promise((resolve, reject) => {
    let printed = ""
    const look = (data: Buffer) => {
      printed += data.toString()
      const found = pattern.exec(printed)
      if (found !== null) resolve(found)
    }
    child.stdout?.on("data", look)
    child.stderr?.on("data", look)
    child.once("close", (code) => reject(new Error(`Ended with ${code} before ${pattern}: ${printed}`)))
  })

const ended = (child: ChildProcess): Promise<number | null> =>
  new Promise((resolve) => void child.once("close", resolve))

describe("README", () => {
  it("shows the example files unchanged", () => {
    const shown = blocks.flatMap(({ file, text }) => (file === undefined ? [] : [{ file, text }]))
    assert.sameMembers(
      shown.map(({ file }) => file),
      [
        "examples/secsync-client.ts",
        "examples/embed-sqlite.ts",
        "examples/verdant-changes.ts",
        "examples/embed-postgres.ts"
      ]
    )
    for (const { file, text } of shown) assert.strictEqual(text, readFileSync(join(root, file), "utf8"), file)
  })

  it("names the commands to start and to test, with the pinned package manager", () => {
    assert.deepStrictEqual(shell.slice(0, 2), [`npx -y ${packageManager} start`, `npx -y ${packageManager} test`])
    assert.strictEqual(scripts.start, "pnpm run build && node packages/cli/bin/sync-admin.js serve --dev")
    assert.match(scripts.test, /^pnpm run build && pnpm run check && vitest run$/)
  })

  it("starts a server in dev mode, through which its client example shares a text", async () => {
    const { folder, env } = makeFolder()
    const port = String(await freePort())
    const start = scripts.start.replace("pnpm run build && node packages", `node ${root}/packages`)
    const server = spawn("sh", ["-c", `exec ${start} --port ${port}`], { cwd: folder, env })
    const [, token = ""] = await untilPrinted(server, /websocketSessionKey +(\S+)[\s\S]*Ctrl-C/)
    const example = shell.find((command) => command.includes("examples/secsync-client.ts")) ?? ""
    const command = example.replace("localhost:4000", `localhost:${port}`).replace("<token>", token)
    const writer = spawn("sh", ["-c", `exec ${command}`], { cwd: folder, env })
    const reader = spawn("sh", ["-c", `exec ${command}`], { cwd: folder, env })
    await Promise.all([untilPrinted(writer, /Type a line/), untilPrinted(reader, /Type a line/)])
    const arrived = untilPrinted(reader, /sealed greetings/)
    writer.stdin?.write("sealed greetings\n")
    await arrived
    for (const child of [writer, reader, server]) child.kill("SIGTERM")
    assert.strictEqual(await ended(server), 0)
  })

  it("embeds a server on SQLite that answers", () => embed("examples/embed-sqlite.ts"))

  it("delivers each change to an app once, also across a restart of the app", async () => {
    const { folder, env } = makeFolder()
    const port = String(await freePort())
    const library = libraryOn({ url: `http://127.0.0.1:${port}` }, "notes")
    const token = await Effect.runPromise(library.token({ userId: "ada" }))
    const start = async () => {
      const app = spawn("node", ["examples/verdant-changes.ts"], {
        cwd: folder,
        env: { ...env, PORT: port, TOKEN_SECRET }
      })
      let printed = ""
      app.stdout.on("data", (data: Buffer) => {
        printed += data.toString()
      })
      assert.strictEqual(await firstHealth(port), 200)
      return { app, printed: () => printed }
    }
    const replica = makeReplica()
    let since: unknown = null
    const write = async (id: string) => {
      const operations = [replica.operation(`item/${id}`, initialize({ id, content: "milk" }))]
      const { messages } = await Effect.runPromise(post(library, token, [replica.sync({ since, operations })]))
      since = syncResponse({ messages })?.["ackedTimestamp"]
    }
    const first = await start()
    const told = untilPrinted(first.app, /ada changed item\/41 .*milk/)
    await write("41")
    await told
    // Waits until the app has recorded the change as processed.
    while (!existsSync(join(folder, "data/told.json"))) await new Promise((resolve) => setTimeout(resolve, 10))
    first.app.kill("SIGTERM")
    await ended(first.app)
    const second = await start()
    const toldToo = untilPrinted(second.app, /ada changed item\/42 .*milk/)
    await write("42")
    await toldToo
    assert.notMatch(second.printed(), /item\/41/)
    second.app.kill("SIGTERM")
    assert.strictEqual(await ended(second.app), 0)
  })

  it("runs several servers on one Postgres, as a role with few rights", async () => {
    await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const url = yield* emptyDatabase
          yield* administer("CREATE ROLE sealog_server LOGIN")
          yield* Effect.addFinalizer(() =>
            Effect.andThen(administer("DROP OWNED BY sealog_server", url), administer("DROP ROLE sealog_server"))
          )
          yield* Effect.promise(() => runPostgresExample(url))
        })
      )
    )
  })

  it("embeds a server on Postgres that answers", () =>
    Effect.runPromise(
      Effect.scoped(
        Effect.flatMap(emptyDatabase, (url) => Effect.promise(() => embed("examples/embed-postgres.ts", url)))
      )
    ))

  it("shows commands that run unchanged, one after the other", async () => {
    const { folder, env } = makeFolder()
    const port = String(await freePort())
    const lines = (shell.find((text) => text.includes("export TOKEN_SECRET")) ?? "").split("\n")
    assert.isAtLeast(lines.length, 10)
    const secret = /^export (TOKEN_SECRET)=(.*)$/.exec(lines[0] ?? "")?.[2] ?? ""
    const TOKEN_SECRET = spawnSync("sh", ["-c", `printf %s ${secret}`], { cwd: folder, env }).stdout.toString()
    assert.lengthOf(TOKEN_SECRET, 64)
    const withSecret = { ...env, TOKEN_SECRET }
    const replica = makeReplica()
    let token = ""
    let server: ChildProcess | undefined
    for (const line of lines.slice(1)) {
      const said = (line.split(" #")[0] ?? "").trim()
      const command = said.replace("4000", port).replace("<token>", token).replace("<replicaId>", replica.id)
      if (command.startsWith("sync-admin serve")) {
        server = spawn("sh", ["-c", `exec ${command}`], { cwd: folder, env: withSecret })
        await untilPrinted(server, /Listening on/)
        continue
      }
      if (command === "sync-admin library list") {
        await writeDocument(folder, withSecret, port, token)
        const item = replica.operation("item/42", initialize({ id: "42", content: "milk" }))
        const library = libraryOn({ url: `http://localhost:${port}` }, "notes")
        const { status } = await Effect.runPromise(post(library, token, [replica.sync({ operations: [item] })]))
        assert.strictEqual(status, 200)
      }
      const ran = spawnSync("sh", ["-c", command], { cwd: folder, env: withSecret })
      assert.strictEqual(ran.status, 0, `${command}: ${ran.stderr}`)
      if (command.startsWith("sync-admin token mint --library notes --user ada")) token = ran.stdout.toString().trim()
    }
    server?.kill("SIGTERM")
    if (server !== undefined) assert.strictEqual(await ended(server), 0)
  })
})

/** Runs an example until its server answers. */
const embed = async (example: string, DATABASE_URL?: string) => {
  const { folder, env } = makeFolder()
  const port = String(await freePort())
  const embedding = { ...env, DATABASE_URL, PORT: port, TOKEN_SECRET: "s".repeat(32) }
  const server = spawn("node", [example], { cwd: folder, env: embedding })
  await untilPrinted(server, new RegExp(`Listening on port ${port}`))
  assert.strictEqual(await firstHealth(port), 200)
  server.kill("SIGTERM")
  assert.strictEqual(await ended(server), 0)
}

/** Waits for a starting server, and returns the status of its first health answer. */
const firstHealth = async (port: string): Promise<number> => {
  while (true) {
    const status = await fetch(`http://127.0.0.1:${port}/healthz`).then(
      ({ status }) => status,
      () => new Promise<number>((resolve) => setTimeout(() => resolve(0), 50))
    )
    if (status > 0) return status
  }
}

/** Runs the commands of the section on Postgres on this database. */
const runPostgresExample = async (url: string) => {
  const { folder, env } = makeFolder()
  const withSecret = { ...env, TOKEN_SECRET: "s".repeat(32) }
  const asServer = new URL(url)
  asServer.username = "sealog_server"
  const lines = (shell.find((text) => text.includes("postgres://owner@")) ?? "").split("\n")
  assert.lengthOf(lines, 3)
  const servers: Array<ChildProcess> = []
  for (const line of lines) {
    const port = String(await freePort())
    const command = (line.split(" #")[0] ?? "")
      .trim()
      .replace("postgres://owner@localhost/sealog", url)
      .replace("postgres://sealog_server@localhost/sealog", asServer.href)
      .replace(/--port \d+/, `--port ${port}`)
    if (command.startsWith("sync-admin serve")) {
      const server = spawn("sh", ["-c", `exec ${command}`], { cwd: folder, env: withSecret })
      servers.push(server)
      await untilPrinted(server, /Listening on/)
      assert.strictEqual(await firstHealth(port), 200)
    } else {
      const ran = spawnSync("sh", ["-c", command], { cwd: folder, env: withSecret })
      assert.strictEqual(ran.status, 0, `${command}: ${ran.stderr}`)
    }
  }
  for (const server of servers) {
    server.kill("SIGTERM")
    assert.strictEqual(await ended(server), 0)
  }
}

/** Writes the document "notes/welcome", which the next commands inspect. */
const writeDocument = async (cwd: string, env: NodeJS.ProcessEnv, port: string, token: string) => {
  const client = () =>
    spawn("node", ["examples/secsync-client.ts", `ws://localhost:${port}`, "welcome", token], { cwd, env })
  const [writer, reader] = [client(), client()]
  const arrived = untilPrinted(reader, /hello/)
  writer.stdin?.write("hello\n")
  await arrived
  writer.kill()
  reader.kill()
}
