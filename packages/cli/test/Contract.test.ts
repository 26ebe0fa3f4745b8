/** The contract that scripts build on: exit codes, stdout and stderr, `--json`, and nothing that waits for a terminal. */
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { LibraryId } from "@sealog/server/domain/Ids"
import { toNewEvent } from "@sealog/server/domain/Secsync"
import { emptyHead, place } from "@sealog/server/domain/Stream"
import { EventLog } from "@sealog/server/EventLog"
import { makeDecoder } from "@sealog/server/protocols/secsync/Wire"
import { makeAuthor, snapshotMessage } from "@sealog/server/testing"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Effect } from "effect"
import { assert, describe, it } from "vitest"
import { freshFolder, type Ran, run, schemaErrors, secret, serve } from "./support.ts"

/** A folder with a log of one document, "notes/welcome", of one snapshot. */
const withDocument = async (): Promise<string> => {
  const cwd = freshFolder()
  const message = makeDecoder()(JSON.stringify(snapshotMessage(makeAuthor(), { docId: "welcome" })))
  if (message._tag !== "Snapshot") throw new Error(message._tag)
  const { snapshotId, parentSnapshotId, parentSnapshotProof, ciphertextHash, pubKey, payload } = message
  const stored = {
    _tag: "SnapshotStored" as const,
    ...{ snapshotId, parentSnapshotId, parentSnapshotProof, ciphertextHash, pubKey },
    parentSnapshotUpdateClocks: {}
  }
  const key = { libraryId: LibraryId.make("notes"), streamId: "welcome" }
  const event = place(key, emptyHead, toNewEvent(stored, blake2b256(payload)), "test", 1_700_000_000_000)
  await Effect.runPromise(
    Effect.flatMap(EventLog, (log) => log.append([{ key, expectedVersion: 0, events: [{ event, payload }] }])).pipe(
      Effect.provide(SqliteStorage.layer({ filename: join(cwd, "data", "sealog.db") }))
    )
  )
  return cwd
}

/** The one JSON value on stdout, checked against the command's schema. */
const jsonOf = (name: string, { stdout }: Ran): Record<string, unknown> => {
  const json: unknown = JSON.parse(stdout)
  assert.strictEqual(schemaErrors(name, json), "")
  return json as Record<string, unknown>
}

const errorOf = (ran: Ran) => (jsonOf("error", ran) as { error: { code: string; message: string; try?: string } }).error

describe("migrate", () => {
  it("makes the database, says so, and does nothing the second time", async () => {
    const cwd = freshFolder()
    const first = await run(["migrate"], { cwd })
    assert.deepStrictEqual({ code: first.code, stdout: first.stdout }, { code: 0, stdout: "Applied 1 log.\n" })
    assert.strictEqual(jsonOf("migrate", await run(["migrate", "--json"], { cwd }))["appliedNow"], 0)
    assert.include((await run(["migrate", "--status"], { cwd })).stdout, "applied")
  })

  it("changes nothing when only asked", async () => {
    const cwd = freshFolder()
    mkdirSync(join(cwd, "data"))
    writeFileSync(join(cwd, "data", "sealog.db"), "")
    const ran = await run(["migrate", "--dry-run", "--json"], { cwd })
    assert.deepStrictEqual(jsonOf("migrate", ran)["migrations"], [{ id: 1, name: "log", applied: false }])
    const status = await run(["migrate", "--status", "--json"], { cwd })
    assert.deepStrictEqual(jsonOf("migrate", status)["migrations"], [{ id: 1, name: "log", applied: false }])
  })
})

describe("token", () => {
  it("mints a token alone, which inspect reads from stdin", async () => {
    const cwd = freshFolder()
    const args = ["--library", "notes", "--user", "ada", "--document", "a", "--document", "b", "--type", "read-only"]
    const minted = await run(["token", "mint", ...args, "--expires", "1h"], { cwd })
    assert.match(minted.stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/)
    assert.strictEqual(minted.stderr, "")
    const inspected = jsonOf("token-inspect", await run(["token", "inspect", "--json"], { cwd, stdin: minted.stdout }))
    assert.isTrue(inspected["valid"])
    const claims = inspected["claims"] as Record<string, unknown>
    assert.deepInclude(claims, { sub: "ada", lib: "notes", docs: ["a", "b"], type: 5 })
    assert.strictEqual(Number(claims["exp"]) - Number(claims["iat"]), 3600)
    assert.match(
      jsonOf("token-mint", await run(["token", "mint", ...args, "--json"], { cwd }))["token"] as string,
      /\./
    )
  })

  it("says why a token is refused, with exit code 1", async () => {
    const cwd = freshFolder()
    const mint = ["token", "mint", "--library", "notes", "--user", "ada"]
    const other = await run(mint, { cwd, env: { TOKEN_SECRET: "another-secret-of-32-bytes-or-more" } })
    const refused = await run(["token", "inspect", other.stdout.trim(), "--json"], { cwd })
    assert.strictEqual(refused.code, 1)
    assert.deepInclude(jsonOf("token-inspect", refused), { valid: false, reason: "signature" })
    const nonsense = await run(["token", "inspect", "nonsense"], { cwd })
    assert.strictEqual(nonsense.code, 1)
    assert.include(nonsense.stderr, "NOT_A_TOKEN")
  })

  it("takes the secret from the environment or a file, and refuses a short one or none", async () => {
    const cwd = freshFolder()
    const mint = ["token", "mint", "--library", "notes", "--user", "ada"]
    writeFileSync(join(cwd, "secret"), `${secret}\n`)
    const fromFile = await run(mint, { cwd, env: { TOKEN_SECRET: undefined, TOKEN_SECRET_FILE: "secret" } })
    assert.strictEqual((await run(["token", "inspect"], { cwd, stdin: fromFile.stdout })).code, 0)
    const none = await run([...mint, "--json"], { cwd, env: { TOKEN_SECRET: undefined } })
    assert.strictEqual(none.code, 2)
    assert.strictEqual(errorOf(none).code, "NO_TOKEN_SECRET")
    const short = await run([...mint, "--json"], { cwd, env: { TOKEN_SECRET: "too short a secret" } })
    assert.strictEqual(short.code, 2)
    assert.strictEqual(errorOf(short).code, "SECRET_TOO_SHORT")
    assert.notInclude(short.stdout + short.stderr, "too short a secret")
    const missing = await run(mint, { cwd, env: { TOKEN_SECRET: undefined, TOKEN_SECRET_FILE: "not-there" } })
    assert.strictEqual(missing.code, 2)
  })

  it("refuses names and durations that cannot be, with exit code 2", async () => {
    const cwd = freshFolder()
    for (const [args, code] of [
      [["--library", "@library", "--user", "ada"], "NAME_INVALID"],
      [["--library", "notes", "--user", "ada", "--document", "a/b"], "NAME_INVALID"],
      [["--library", "notes", "--user", "ada", "--expires", "soon"], "DURATION_INVALID"],
      [["--library", "notes", "--user", "ada", "--type", "emperor"], "USAGE"],
      [["--library", "notes"], "USAGE"]
    ] as const) {
      const ran = await run(["token", "mint", ...args, "--json"], { cwd })
      assert.strictEqual(ran.code, 2, args.join(" "))
      assert.strictEqual(errorOf(ran).code, code, args.join(" "))
    }
  })
})

describe("looking inside", () => {
  it("lists libraries and shows a document", async () => {
    const cwd = await withDocument()
    const libraries = jsonOf("library-list", await run(["library", "list", "--json"], { cwd }))["libraries"]
    assert.deepInclude((libraries as ReadonlyArray<object>)[0], { libraryId: "notes", streams: 1, events: 1 })
    const text = await run(["library", "list"], { cwd })
    assert.match(text.stdout, /^LIBRARY +DOCUMENTS +EVENTS +SIZE +LAST CHANGE \(UTC\)\nnotes +1 +1 /)
    const shown = jsonOf("document-show", await run(["document", "show", "notes", "welcome", "--json"], { cwd }))
    assert.deepInclude(shown, { version: 1, generation: 0, updates: 0, evictedSnapshotId: null })
    assert.include((await run(["document", "show", "notes", "welcome"], { cwd })).stdout, "version     1, generation 0")
  })

  it("says that a document is not there, with exit code 1", async () => {
    const cwd = await withDocument()
    const ran = await run(["document", "show", "notes", "nothing", "--json"], { cwd })
    assert.strictEqual(ran.code, 1)
    assert.strictEqual(errorOf(ran).code, "NO_SUCH_DOCUMENT")
  })

  it("does not make a database that is not there, and exits with 3", async () => {
    const cwd = freshFolder()
    for (const args of [["library", "list"], ["document", "show", "a", "b"], ["replay"], ["evict", "a", "--yes"]]) {
      const ran = await run([...args, "--json"], { cwd })
      assert.strictEqual(ran.code, 3, args.join(" "))
      assert.strictEqual(errorOf(ran).code, "STORAGE_UNAVAILABLE")
      assert.isString(errorOf(ran).try)
    }
    assert.isFalse(existsSync(join(cwd, "data")))
  })

  it("exits with 3 when the file is no database or is locked, and with 2 when the URL is of no kind it knows", async () => {
    const cwd = await withDocument()
    writeFileSync(join(cwd, "text.db"), "no database, ".repeat(1000))
    assert.strictEqual((await run(["library", "list", "--database", "sqlite:text.db"], { cwd })).code, 3)
    const lock = new DatabaseSync(join(cwd, "data", "sealog.db"))
    lock.exec("BEGIN IMMEDIATE")
    assert.strictEqual((await run(["evict", "notes", "--yes"], { cwd })).code, 3)
    lock.exec("ROLLBACK")
    lock.close()
    for (const database of ["postgres://user:pass-word@host/db", "mysql://host", "sqlite:", "data/sealog.db"]) {
      const ran = await run(["library", "list"], { cwd, env: { DATABASE_URL: database } })
      assert.strictEqual(ran.code, 2, database)
      assert.notInclude(ran.stderr, "pass-word")
      assert.include(ran.stderr, "Try: ")
    }
  })
})

describe("evict", () => {
  it("says what it would free, asks nobody who is not there, and frees it", async () => {
    const cwd = await withDocument()
    const planned = jsonOf("evict", await run(["evict", "notes", "--dry-run", "--json"], { cwd }))
    assert.isTrue(planned["dryRun"])
    assert.isAbove(Number(planned["payloadBytes"]), 100)
    const unasked = await run(["evict", "notes", "--json"], { cwd })
    assert.strictEqual(unasked.code, 2)
    assert.strictEqual(errorOf(unasked).code, "NOT_CONFIRMED")
    const done = jsonOf("evict", await run(["evict", "notes", "--yes", "--json"], { cwd }))
    assert.deepStrictEqual(done["documents"], planned["documents"])
    const shown = jsonOf("document-show", await run(["document", "show", "notes", "welcome", "--json"], { cwd }))
    assert.deepInclude(shown, { version: 2, generation: 1, payloadBytes: 0, activeSnapshotId: null })
    assert.isString(shown["evictedSnapshotId"])
    const again = await run(["evict", "notes", "--yes"], { cwd })
    assert.deepStrictEqual(
      { code: again.code, stdout: again.stdout },
      { code: 0, stdout: "Nothing to evict in notes.\n" }
    )
  })

  it("evicts only the document that is named", async () => {
    const cwd = await withDocument()
    const ran = await run(["evict", "notes", "--document", "another", "--yes", "--json"], { cwd })
    assert.deepStrictEqual(jsonOf("evict", ran)["documents"], [])
  })
})

describe("replay", () => {
  it("exits with 0 on a log as it was written, and with 1 and a line for what is off", async () => {
    const cwd = await withDocument()
    const clean = await run(["replay"], { cwd })
    assert.deepStrictEqual(clean, { code: 0, stdout: "1 event in 1 stream, 1 payload: all as written.\n", stderr: "" })
    const db = new DatabaseSync(join(cwd, "data", "sealog.db"))
    db.exec("UPDATE payloads SET payload = x'00'")
    db.close()
    const found = await run(["replay"], { cwd })
    assert.strictEqual(found.code, 1)
    assert.match(found.stdout, /^notes\/welcome version 1: payload-changed: .*\n1 event .*: 1 problem\.\n$/)
    const json = await run(["replay", "--library", "notes", "--document", "welcome", "--json"], { cwd })
    assert.strictEqual(json.code, 1)
    assert.strictEqual(jsonOf("replay", json)["problemCount"], 1)
  })
})

describe("serve", () => {
  it("refuses to start without a secret", async () => {
    const ran = await run(["serve", "--port", "0", "--json"], { cwd: freshFolder(), env: { TOKEN_SECRET: undefined } })
    assert.strictEqual(ran.code, 2)
    assert.strictEqual(errorOf(ran).code, "NO_TOKEN_SECRET")
  })

  it("answers /healthz, and ends with 0 on SIGTERM and SIGINT", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const server = await serve([], { cwd: freshFolder() })
      const health = await fetch(`http://127.0.0.1:${server.port}/healthz`)
      assert.deepStrictEqual([health.status, await health.json()], [200, { status: "ok" }])
      assert.strictEqual((await server.stop(signal)).code, 0)
    }
  })

  it("prints one JSON value with --json, when it has ended", async () => {
    // Where it listens is said nowhere then: so the port is chosen here.
    const probe = createServer().listen(0, "127.0.0.1")
    await new Promise((resolve) => probe.once("listening", resolve))
    const address = probe.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    await new Promise((resolve) => probe.close(resolve))
    const cwd = freshFolder()
    const ended = new Promise<Ran>((resolve) => {
      import("node:child_process").then(({ spawn }) => {
        const child = spawn(
          process.execPath,
          [new URL("../bin/sync-admin.js", import.meta.url).pathname, "serve", "--port", String(port), "--json"],
          {
            cwd,
            env: { PATH: process.env["PATH"], TOKEN_SECRET: secret }
          }
        )
        let stdout = ""
        child.stdout.on("data", (data) => {
          stdout += data
        })
        child.on("close", (code) => resolve({ code, stdout, stderr: "" }))
        const ping = (): Promise<void> =>
          fetch(`http://127.0.0.1:${port}/healthz`).then(
            () => void child.kill("SIGTERM"),
            () => new Promise((again) => setTimeout(again, 50)).then(ping)
          )
        void ping()
      })
    })
    assert.deepStrictEqual(jsonOf("serve", await ended), { port, dev: false })
  })

  it("in dev makes a secret of its own that outlives a restart, and prints a token that works", async () => {
    const cwd = freshFolder()
    const options = { cwd, env: { TOKEN_SECRET: undefined } }
    const first = await serve(["--dev"], options)
    const token = /websocketSessionKey +(\S+)/.exec(first.stdout())?.[1] ?? ""
    await first.stop("SIGTERM")
    assert.strictEqual(statSync(join(cwd, "data", "dev-secret")).mode & 0o777, 0o600)
    assert.notInclude(first.stdout(), readFileSync(join(cwd, "data", "dev-secret"), "utf8"))
    const inspected = await run(["token", "inspect", "--json"], {
      cwd,
      stdin: token,
      env: { TOKEN_SECRET: undefined, TOKEN_SECRET_FILE: join(cwd, "data", "dev-secret") }
    })
    assert.isTrue(jsonOf("token-inspect", inspected)["valid"])
  })

  it("says so when the port is taken", async () => {
    const taken = createServer().listen(0, "127.0.0.1")
    await new Promise((resolve) => taken.once("listening", resolve))
    const address = taken.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    const ran = await run(["serve", "--host", "127.0.0.1", "--port", String(port), "--json"], { cwd: freshFolder() })
    taken.close()
    assert.strictEqual(ran.code, 2)
    assert.strictEqual(errorOf(ran).code, "PORT_UNAVAILABLE")
  })
})

describe("every command", () => {
  it("has a help with an example, and says what is wrong with its usage", async () => {
    const cwd = freshFolder()
    for (const command of [
      "serve",
      "migrate",
      "evict",
      "replay",
      "token mint",
      "token inspect",
      "library list",
      "document show"
    ]) {
      const help = await run([...command.split(" "), "--help"], { cwd })
      assert.strictEqual(help.code, 0, command)
      assert.include(help.stdout, `$ sync-admin ${command}`, command)
      const wrong = await run([...command.split(" "), "--no-such-flag"], { cwd })
      assert.strictEqual(wrong.code, 2, command)
      assert.strictEqual(wrong.stdout, "", command)
    }
    assert.strictEqual((await run(["no-such-command"], { cwd })).code, 2)
  })

  it("is refused by an older Node in one line", async () => {
    const cwd = freshFolder()
    writeFileSync(
      join(cwd, "old.cjs"),
      `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.20.2" } })`
    )
    const ran = await run(["--version"], { cwd, env: { NODE_OPTIONS: `--require ${join(cwd, "old.cjs")}` } })
    assert.strictEqual(ran.code, 2)
    assert.match(ran.stderr, /^sync-admin needs Node 22\.19 or newer, and this is 20\.20\.2\..*\n$/)
  })
})
