/** The contract for scripts: exit codes, stdout and stderr, `--json`, and no command that waits for a terminal. */
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Effect } from "effect"
import { assert, describe, it } from "vitest"
import { until } from "#test-support/until"
import { makeReplica } from "#test-support/verdant/Replica"
import { errorOf, freshFolder, jsonOf, run, secret, serve, storeDocument } from "./support.ts"

/** Creates a folder with a log that holds the document "notes/welcome". */
const withDocument = async (updates = 0): Promise<string> => {
  const cwd = freshFolder()
  const storage = SqliteStorage.layer({ filename: join(cwd, "data", "sealog.db") })
  await Effect.runPromise(Effect.provide(storeDocument(updates), storage))
  return cwd
}

describe("migrate", () => {
  it("creates the database, reports it, and changes nothing the second time", async () => {
    const cwd = freshFolder()
    const first = await run(["migrate"], { cwd })
    assert.deepStrictEqual(
      { code: first.code, stdout: first.stdout },
      { code: 0, stdout: "Applied 1 log, 2 numbered_streams.\n" }
    )
    assert.strictEqual(jsonOf("migrate", await run(["migrate", "--json"], { cwd }))["appliedNow"], 0)
    assert.include((await run(["migrate", "--status"], { cwd })).stdout, "applied")
  })

  it("changes nothing with --dry-run or --status", async () => {
    const cwd = freshFolder()
    mkdirSync(join(cwd, "data"))
    writeFileSync(join(cwd, "data", "sealog.db"), "")
    const ran = await run(["migrate", "--dry-run", "--json"], { cwd })
    const missing = [
      { id: 1, name: "log", applied: false },
      { id: 2, name: "numbered_streams", applied: false }
    ]
    assert.deepStrictEqual(jsonOf("migrate", ran)["migrations"], missing)
    const status = await run(["migrate", "--status", "--json"], { cwd })
    assert.deepStrictEqual(jsonOf("migrate", status)["migrations"], missing)
  })
})

describe("token", () => {
  it("mint prints only the token, and inspect reads it from stdin", async () => {
    const cwd = freshFolder()
    const args = ["--library", "notes", "--user", "ada", "--document", "a", "--document", "b", "--type", "read-only"]
    const minted = await run(["token", "mint", ...args, "--expires", "1h"], { cwd })
    assert.match(minted.stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/)
    assert.strictEqual(minted.stderr, "")
    const inspected = jsonOf("token-inspect", await run(["token", "inspect", "--json"], { cwd, stdin: minted.stdout }))
    assert.isTrue(inspected["valid"])
    const claims = inspected["claims"] as Record<string, unknown>
    assert.deepInclude(claims, { sub: "ada", lib: "notes", docs: ["a", "b"], type: 5 })
    assert.approximately(Number(claims["exp"]) - Number(claims["iat"]), 3600, 1)
    assert.match(
      jsonOf("token-mint", await run(["token", "mint", ...args, "--json"], { cwd }))["token"] as string,
      /\./
    )
  })

  it("inspect gives the reason of a refused token and exits with 1", async () => {
    const cwd = freshFolder()
    const mint = ["token", "mint", "--library", "notes", "--user", "ada"]
    const other = await run(mint, { cwd, env: { TOKEN_SECRET: "another-secret-of-32-bytes-or-more" } })
    const refused = await run(["token", "inspect", other.stdout.trim(), "--json"], { cwd })
    assert.strictEqual(refused.code, 1)
    assert.deepInclude(jsonOf("token-inspect", refused), { valid: false, reason: "signature" })
    const nonsense = await run(["token", "inspect", "nonsense"], { cwd })
    assert.strictEqual(nonsense.code, 1)
    assert.include(nonsense.stderr, "NOT_A_TOKEN")
    const claims = Buffer.from(JSON.stringify({ exp: 1e300 })).toString("base64url")
    const farOff = await run(["token", "inspect", `e30.${claims}.e30`], { cwd })
    assert.strictEqual(farOff.code, 1)
    assert.include(farOff.stdout, "1e+300")
  })

  it("inspect escapes every character of a token that a terminal would obey", async () => {
    const cwd = freshFolder()
    const hostile = { "\u001b[2J": "\u009b31m\u202ereversed\u0007", sub: "\u001b]0;title\u0007" }
    const token = `e30.${Buffer.from(JSON.stringify(hostile)).toString("base64url")}.e30`
    for (const flags of [[], ["--json"]]) {
      const { stdout, stderr } = await run(["token", "inspect", token, ...flags], { cwd })
      assert.notMatch(stdout + stderr, /[^\P{Cc}\n]|\p{Cf}/u)
      assert.include(stdout, "\\u001b[2J")
    }
    const unknown = await run(["\u001b[2Jboo"], { cwd })
    assert.notMatch(unknown.stdout + unknown.stderr, /[^\P{Cc}\n]|\p{Cf}/u)
  })

  it("reads the secret from the environment or a file, and refuses a short or missing secret", async () => {
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
    writeFileSync(join(cwd, "empty"), "\n")
    for (const env of [{ TOKEN_SECRET: undefined, TOKEN_SECRET_FILE: "empty" }, { TOKEN_SECRET: " , " }]) {
      for (const command of [mint, ["serve", "--port", "0"]]) {
        const empty = await run([...command, "--json"], { cwd, env })
        assert.deepStrictEqual([empty.code, errorOf(empty).code], [2, "NO_TOKEN_SECRET"], command[0])
      }
    }
  })

  it("mint refuses invalid names and durations with exit code 2", async () => {
    const cwd = freshFolder()
    for (const [args, code] of [
      [["--library", "@library", "--user", "ada"], "NAME_INVALID"],
      [["--library", "notes", "--user", "ada", "--document", "a?b"], "NAME_INVALID"],
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

describe("commands that read the log", () => {
  it("library list and document show print the log's content", async () => {
    const cwd = await withDocument()
    const libraries = jsonOf("library-list", await run(["library", "list", "--json"], { cwd }))["libraries"]
    assert.deepInclude((libraries as ReadonlyArray<object>)[0], { libraryId: "notes", streams: 1, events: 1 })
    const text = await run(["library", "list"], { cwd })
    assert.match(
      text.stdout,
      /^LIBRARY +STREAMS +EVENTS +SIZE +QUOTA +LAST CHANGE\nnotes +1 +1 +\d+ B +<1 % of documents +2023-11-14 22:13:20 UTC\n$/
    )
    const shown = jsonOf("document-show", await run(["document", "show", "notes", "welcome", "--json"], { cwd }))
    assert.deepInclude(shown, { version: 1, generation: 0, updates: 0, evictedSnapshotId: null })
    assert.include((await run(["document", "show", "notes", "welcome"], { cwd })).stdout, "version     1, generation 0")
  })

  it("library show counts documents before and after an eviction", async () => {
    const cwd = await withDocument(2)
    const library = async () => jsonOf("library-show", await run(["library", "show", "notes", "--json"], { cwd }))
    assert.deepInclude(await library(), { documents: 1, evictedDocuments: 0, events: 3, payloads: 3 })
    assert.match((await run(["library", "show", "notes"], { cwd })).stdout, /^notes\ndocuments +1\nevents +3\n/)
    await run(["evict", "notes", "--yes"], { cwd })
    assert.deepInclude(await library(), { documents: 1, evictedDocuments: 1, events: 4, payloads: 0, payloadBytes: 0 })
    assert.include((await run(["library", "show", "notes"], { cwd })).stdout, "1, of which 1 evicted")
  })

  it("report a missing library or document with exit code 1", async () => {
    const cwd = await withDocument()
    for (const [args, code] of [
      [["document", "show", "notes", "nothing"], "NO_SUCH_DOCUMENT"],
      [["library", "show", "nothing"], "NO_SUCH_LIBRARY"],
      [["replay", "--library", "nothing"], "NO_SUCH_LIBRARY"],
      [["replay", "--library", "notes", "--document", "nothing"], "NO_SUCH_DOCUMENT"]
    ] as const) {
      const ran = await run([...args, "--json"], { cwd })
      assert.deepStrictEqual([ran.code, errorOf(ran).code], [1, code], args.join(" "))
    }
  })

  it("create no database and exit with 3 if there is none", async () => {
    const cwd = freshFolder()
    for (const args of [
      ["library", "list"],
      ["library", "show", "a"],
      ["document", "show", "a", "b"],
      ["migrate", "--status"],
      ["replay"],
      ["evict", "a", "--yes"]
    ]) {
      const ran = await run([...args, "--json"], { cwd })
      assert.strictEqual(ran.code, 3, args.join(" "))
      assert.strictEqual(errorOf(ran).code, "STORAGE_UNAVAILABLE")
      assert.isString(errorOf(ran).try)
    }
    assert.isFalse(existsSync(join(cwd, "data")))
  })

  it("exit with 3 if the file is no database or is locked, and with 2 if the URL is invalid", async () => {
    const cwd = await withDocument()
    writeFileSync(join(cwd, "text.db"), "no database, ".repeat(1000))
    const text = await run(["library", "list", "--database", "sqlite:text.db"], { cwd })
    assert.strictEqual(text.code, 3)
    assert.match(text.stderr, /not a database.*\nTry: stop the servers, keep this database, and restore a backup/)
    const missing = await run(["library", "list", "--database", "sqlite:missing.db"], { cwd })
    assert.notInclude(missing.stderr, "migrate")
    writeFileSync(join(cwd, "empty.db"), "")
    const empty = await run(["library", "list", "--database", "sqlite:empty.db"], { cwd })
    assert.strictEqual(empty.code, 3)
    assert.match(empty.stderr, /lacks the migrations.*\nTry: `sync-admin migrate`/)
    const lock = new DatabaseSync(join(cwd, "data", "sealog.db"))
    lock.exec("BEGIN IMMEDIATE")
    const locked = await run(["evict", "notes", "--yes"], { cwd })
    assert.strictEqual(locked.code, 3)
    assert.match(locked.stderr, /locked.*\nTry: again in a moment/)
    lock.exec("ROLLBACK")
    lock.close()
    for (const database of [
      "postgres:user:pass-word@host",
      "mysql://user:pass-word@host",
      "sqlite:",
      "data/sealog.db"
    ]) {
      const ran = await run(["library", "list"], { cwd, env: { DATABASE_URL: database } })
      assert.strictEqual(ran.code, 2, database)
      assert.notInclude(ran.stderr, "pass-word")
      assert.include(ran.stderr, "Try: ")
    }
  })
})

describe("evict", () => {
  it("--dry-run shows what --yes deletes, and without a terminal one of them is required", async () => {
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

  it("--document evicts only that document", async () => {
    const cwd = await withDocument()
    await run(["document", "create", "notes", "another"], { cwd })
    const evicted = async (documentId: string) => {
      const ran = await run(["evict", "notes", "--document", documentId, "--yes", "--json"], { cwd })
      return (jsonOf("evict", ran)["documents"] as ReadonlyArray<{ documentId: string }>).map(
        ({ documentId }) => documentId
      )
    }
    assert.deepStrictEqual(await evicted("another"), [])
    assert.deepStrictEqual(await evicted("welcome"), ["welcome"])
  })
})

describe("at a terminal", () => {
  const terminal = ["stdin", "stderr"] as const

  it("evict deletes nothing until the library's name is typed", async () => {
    const cwd = await withDocument()
    const isEvicted = async () =>
      jsonOf("library-show", await run(["library", "show", "notes", "--json"], { cwd }))["evictedDocuments"] === 1
    for (const stdin of ["another\n", ""]) {
      const ran = await run(["evict", "notes", "--json"], { cwd, stdin, terminal })
      assert.deepStrictEqual([ran.code, errorOf(ran).code], [1, "NOT_CONFIRMED"])
      assert.include(ran.stderr, "This would evict 1 document")
      assert.isFalse(await isEvicted())
    }
    const ran = await run(["evict", "notes"], { cwd, stdin: "notes\n", terminal })
    assert.strictEqual(ran.code, 0)
    assert.match(ran.stdout, /^Evicted 1 document, freed /)
    assert.isTrue(await isEvicted())
  })

  it("replay draws its progress only on stderr, and a signal interrupts it", async () => {
    const cwd = await withDocument(3000)
    const ran = await run(["replay"], { cwd, terminal })
    assert.deepStrictEqual([ran.code, ran.stdout], [0, "3,001 events in 1 stream, 3,001 payloads: all as written.\n"])
    assert.match(ran.stderr, /replay [█░]+ 500\/3,001 {2}[\d,]+\/s {2}\d+ s left/)
    const stopped = await run(["replay", "--json"], {
      cwd,
      terminal,
      signalAtStderr: { signal: "SIGINT", fits: /replay/ }
    })
    assert.deepStrictEqual([stopped.code, errorOf(stopped).code], [1, "INTERRUPTED"])
  })

  it("tables have a bold header unless NO_COLOR is set", async () => {
    const cwd = await withDocument()
    const list = (env: Record<string, string>) => run(["library", "list"], { cwd, terminal: ["stdout"], env })
    assert.include((await list({})).stdout, "\u001b[1mLIBRARY")
    assert.include((await list({ NO_COLOR: "" })).stdout, "\u001b[1mLIBRARY")
    assert.notInclude((await list({ NO_COLOR: "1" })).stdout, "\u001b")
  })
})

describe("replay", () => {
  it("exits with 0 on an intact log, and with 1 and a line per problem on a damaged log", async () => {
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
  it("does not start without a secret", async () => {
    const ran = await run(["serve", "--port", "0", "--json"], { cwd: freshFolder(), env: { TOKEN_SECRET: undefined } })
    assert.strictEqual(ran.code, 2)
    assert.strictEqual(errorOf(ran).code, "NO_TOKEN_SECRET")
  })

  it("answers /healthz and ends with 0 on SIGTERM and SIGINT", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const server = await serve([], { cwd: freshFolder() })
      const health = await fetch(`http://127.0.0.1:${server.port}/healthz`)
      assert.deepStrictEqual([health.status, await health.json()], [200, { status: "ok" }])
      assert.strictEqual((await server.stop(signal)).code, 0)
    }
  })

  it("--json prints the address on stderr, and one JSON value on stdout at the end", async () => {
    for (const args of [[], ["--dev"]]) {
      const server = await serve([...args, "--json"], { cwd: freshFolder() })
      assert.strictEqual(server.stdout(), "")
      const { code, stdout } = await server.stop("SIGTERM")
      assert.strictEqual(code, 0)
      const json = jsonOf("serve", { code, stdout, stderr: "" })
      assert.deepStrictEqual(json, { port: server.port, dev: args.length > 0 })
    }
  })

  it("--dev keeps a secret of its own across restarts, and no other server accepts its tokens", async () => {
    const cwd = freshFolder()
    const file = join(cwd, "data", "dev-secret")
    const connect = (port: number, token: string) =>
      fetch(`http://127.0.0.1:${port}/verdant`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}` },
        body: '{"messages":[]}'
      })
    // The environment's secret is not used.
    const first = await serve(["--dev"], { cwd })
    const token = /websocketSessionKey +(\S+)/.exec(first.stdout())?.[1] ?? ""
    assert.strictEqual((await connect(first.port, token)).status, 200)
    await first.stop("SIGTERM")
    assert.strictEqual(statSync(file).mode & 0o777, 0o600)
    assert.notInclude(first.stdout(), readFileSync(file, "utf8"))
    // An app that installed the packages has neither pnpm nor the examples.
    assert.include(first.stdout(), "\n  npx sync-admin library list\n")
    assert.notMatch(first.stdout(), /pnpm|examples/)
    const again = await serve(["--dev"], { cwd, env: { TOKEN_SECRET: undefined } })
    assert.strictEqual((await connect(again.port, token)).status, 200)
    const minted = await run(["token", "mint", "--library", "playground", "--user", "ada", "--json"], { cwd })
    const real = jsonOf("token-mint", minted)["token"] as string
    assert.strictEqual((await connect(again.port, real)).status, 401)
    await again.stop("SIGTERM")
    for (const env of [{}, { TOKEN_SECRET: undefined, TOKEN_SECRET_FILE: file }]) {
      const production = await serve([], { cwd, env })
      assert.strictEqual((await connect(production.port, token)).status, 401)
      await production.stop("SIGTERM")
    }
  })

  it("takes origins from flags and SEALOG_ORIGINS, and refuses what is none", async () => {
    const cwd = freshFolder()
    const env = { SEALOG_ORIGINS: "https://app.example.org,http://127.0.0.1" }
    for (const [args, variables] of [
      [["--origin", "https://app.example.org", "--origin", "http://127.0.0.1"], {}],
      [[], env]
    ] as const) {
      const server = await serve([...args], { cwd, env: variables })
      const ask = async (origin: string) =>
        (await fetch(`http://127.0.0.1:${server.port}/verdant`, { method: "POST", headers: { origin } })).status
      assert.deepStrictEqual([await ask("https://app.example.org"), await ask("https://evil.example")], [401, 403])
      await server.stop("SIGTERM")
    }
    const refused = await run(["serve", "--port", "0", "--origin", "app.example.org"], { cwd })
    assert.strictEqual(refused.code, 2)
    assert.include(refused.stderr, "[ORIGIN_INVALID]")
  })

  it("takes trusted proxies from flags and SEALOG_TRUSTED_PROXIES, and refuses what is no address", async () => {
    const cwd = freshFolder()
    const server = await serve(["--trusted-proxy", "127.0.0.1", "--trusted-proxy", "10.0.0.0/8,::1"], { cwd })
    await server.stop("SIGTERM")
    for (const [args, variable] of [
      [["--trusted-proxy", "10.0.0.0/99"], undefined],
      [[], "127.0.0.1,10.0.0.0/99"]
    ] as const) {
      const env = { SEALOG_TRUSTED_PROXIES: variable }
      const refused = await run(["serve", "--port", "0", ...args], { cwd, env })
      assert.strictEqual(refused.code, 2)
      assert.include(refused.stderr, "[TRUSTED_PROXY_INVALID]")
      assert.include(refused.stderr, '"10.0.0.0/99"')
    }
  })

  it("enforces --max-frame and --max-connections", async () => {
    const cwd = freshFolder()
    const server = await serve(["--max-frame", "1", "--max-connections", "1"], { cwd })
    const minted = await run(["token", "mint", "--library", "notes", "--user", "ada", "--json"], { cwd })
    const url = `ws://127.0.0.1:${server.port}/welcome?sessionKey=${jsonOf("token-mint", minted)["token"]}`
    const closed = (socket: WebSocket) =>
      new Promise((resolve) => void socket.addEventListener("close", ({ code }) => resolve(code)))
    const first = new WebSocket(url)
    // The first message shows that the client was admitted; the socket opens before that.
    await new Promise((resolve) => void first.addEventListener("message", resolve))
    assert.strictEqual(await closed(new WebSocket(url)), 1006)
    first.send(" ".repeat(1024 * 1024 + 1))
    assert.strictEqual(await closed(first), 1009)
    await server.stop("SIGTERM")
  })

  it("holds libraries to --quota, and to what library quota sets while it runs", async () => {
    const cwd = freshFolder()
    const server = await serve(["--quota", "objects=10", "--quota", "replicas=0"], { cwd })
    const token = await run(["token", "mint", "--library", "notes", "--user", "ada", "--type", "push"], { cwd })
    const replica = makeReplica()
    const answer = async (): Promise<string> => {
      const response = await fetch(`http://127.0.0.1:${server.port}/verdant`, {
        method: "POST",
        headers: { authorization: `Bearer ${token.stdout.trim()}`, "content-type": "application/json" },
        body: JSON.stringify({ messages: [replica.sync({ resyncAll: true })] })
      })
      return response.text()
    }
    assert.include(await answer(), "forbidden")
    const set = await run(["library", "quota", "notes", "--replicas", "1", "--new-library", "--json"], { cwd })
    assert.isTrue(jsonOf("library-quota", set)["changed"])
    await Effect.runPromise(
      until(
        "the replica joins",
        Effect.map(Effect.promise(answer), (text) => text.includes("sync-resp"))
      )
    )
    await server.stop("SIGTERM")
    for (const part of ["objects", "objects=-1", "objects=many", "subjects=1", "documentAuthors=1001"]) {
      const ran = await run(["serve", "--quota", part, "--json"], { cwd })
      assert.deepStrictEqual([ran.code, errorOf(ran).code], [2, "QUOTA_INVALID"], part)
    }
  })

  it("writes debug lines only with --log-level debug, from the flag or LOG_LEVEL", async () => {
    const stderrOf = async (args: ReadonlyArray<string>, env: Record<string, string> = {}) => {
      const cwd = freshFolder()
      const server = await serve(args, { cwd, env })
      const minted = await run(["token", "mint", "--library", "notes", "--user", "ada"], { cwd })
      const refused = await fetch(`http://127.0.0.1:${server.port}/verdant`, {
        method: "POST",
        headers: { authorization: `Bearer ${minted.stdout.trim()}`, "content-type": "application/json" },
        body: JSON.stringify({ messages: [{ type: "sync" }] })
      })
      assert.strictEqual(refused.status, 400)
      return (await server.stop("SIGTERM")).stderr
    }
    const debugLine = /level=DEBUG .*frame refused/
    assert.match(await stderrOf(["--log-level", "debug"]), debugLine)
    assert.match(await stderrOf([], { LOG_LEVEL: "debug" }), debugLine)
    assert.notInclude(await stderrOf([]), "level=DEBUG")
  })

  it("refuses an unknown log level and lists the known ones", async () => {
    const ran = await run(["serve", "--log-level", "loud", "--json"], { cwd: freshFolder() })
    assert.deepStrictEqual([ran.code, errorOf(ran).code], [2, "USAGE"])
    assert.include(errorOf(ran).message, "trace, debug, info, warning, error, none")
  })

  it("reports a port that is taken", async () => {
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
  it("shows help with an example, and exits with 2 on wrong usage", async () => {
    const cwd = freshFolder()
    const surface: object = JSON.parse(readFileSync(new URL("../command-surface.json", import.meta.url), "utf8"))
    for (const command of Object.keys(surface)) {
      const help = await run([...command.split(" "), "--help"], { cwd })
      assert.strictEqual(help.code, 0, command)
      assert.include(help.stdout, `$ sync-admin ${command}`, command)
    }
    // One class, from which each command is made, refuses flags.
    for (const command of ["serve", "token mint", "library list"]) {
      const wrong = await run([...command.split(" "), "--no-such-flag"], { cwd })
      assert.deepStrictEqual([wrong.code, wrong.stdout], [2, ""], command)
      assert.strictEqual(wrong.stderr.match(/--help/g)?.length, 1, wrong.stderr)
    }
    const unknown = await run(["token", "steal", "--json"], { cwd })
    assert.deepStrictEqual([unknown.code, errorOf(unknown).code], [2, "USAGE"])
    assert.match((await run(["no-such-command"], { cwd })).stderr, /^Error: There is no command no-such-command\./)
  })

  it("--help and --version load no command, server or storage module", async () => {
    const cwd = freshFolder()
    writeFileSync(
      join(cwd, "loaded.cjs"),
      `const loaded = []
      require("node:module").registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
      process.on("exit", () => process.stderr.write(loaded.join("\\n")))`
    )
    const loadedBy = async (...args: ReadonlyArray<string>) => {
      const ran = await run(args, { cwd, env: { NODE_OPTIONS: `--require ${join(cwd, "loaded.cjs")}` } })
      const isOurs = (url: string) => /\/(effect|@effect|server|storage-\w+|pg|ws)\/|\/commands\//.test(url)
      return ran.stderr.split("\n").filter((url) => isOurs(url.split("/node_modules/").at(-1) ?? ""))
    }
    for (const args of [["--help"], ["--version"], ["token", "--help"]]) {
      assert.deepStrictEqual(await loadedBy(...args), [], args.join(" "))
    }
    assert.isNotEmpty(await loadedBy("library", "list"))
  })

  it("an older Node ends with one line that names the required version", async () => {
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
