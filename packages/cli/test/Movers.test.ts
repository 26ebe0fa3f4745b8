/** Copies, exports, imports and event listings by the built binary, on each storage and between them. */
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { userInfo } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { LibraryId } from "@sealog/server/domain/Ids"
import type { EventLog } from "@sealog/server/ports/EventLog"
import { Effect, Exit, Scope } from "effect"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { emptyDatabase, freshDatabase, layerOf, storages } from "#test-support/storage/databases"
import { append, document, holdings, key, snapshot, update } from "../../../test/admin/support.ts"
import { binary, errorOf, freshFolder, jsonOf, type Ran, run, schemaErrors, storeDocument } from "./support.ts"

const scope = Scope.makeUnsafe()
const make = <A>(effect: Effect.Effect<A, never, Scope.Scope>) => Effect.runPromise(Scope.provide(effect, scope))
const [{ fresh: freshFile }, { fresh: freshPostgres }] = storages as [(typeof storages)[0], (typeof storages)[0]]
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const cwd = freshFolder()
const sealog = (database: string, ...args: ReadonlyArray<string>) => run(args, { cwd, env: { DATABASE_URL: database } })
const on = <A, E>(database: string, effect: Effect.Effect<A, E, EventLog>) =>
  Effect.runPromise(Effect.provide(effect, layerOf(database)))
const held = (database: string) => on(database, holdings)
const eventsIn = async (database: string) => (await held(database)).reduce((sum, { version }) => sum + version, 0)

const ok = (ran: Ran): Ran => {
  assert.strictEqual(ran.code, 0, ran.stderr + ran.stdout)
  return ran
}

/** Starts a command without waiting for its end. */
const start = (database: string, ...args: ReadonlyArray<string>) => {
  const child = spawn(process.execPath, [binary, ...args], { cwd, env: { ...process.env, DATABASE_URL: database } })
  const ended = new Promise<number | null>((resolve) => void child.on("close", resolve))
  return { child, ended, lines: linesOf(child) }
}

/** Waits until a command has printed at least `count` lines. */
const linesOf = (child: ChildProcess) => {
  let text = ""
  let look = () => {}
  child.stdout?.on("data", (data) => {
    text += data
    look()
  })
  return (count: number) =>
    new Promise<ReadonlyArray<string>>((resolve) => {
      look = () => {
        const lines = text.split("\n").slice(0, -1)
        if (lines.length >= count) resolve(lines)
      }
      look()
    })
}

/** Runs a script in `sh`. Scripts print the exit code of a piped command to stderr. */
const shell = (database: string, script: string) =>
  new Promise<Ran>((resolve) => {
    const env = { ...process.env, DATABASE_URL: database, ADMIN: `${process.execPath} ${binary}` }
    const child = spawn("sh", ["-c", script], { cwd, env, stdio: ["ignore", "pipe", "pipe"] })
    let [stdout, stderr] = ["", ""]
    child.stdout.on("data", (data) => {
      stdout += data
    })
    child.stderr.on("data", (data) => {
      stderr += data
    })
    child.on("close", (code) => resolve({ code, stdout, stderr }))
  })

/** Stores documents with small updates in two libraries; some are evicted or pruned. */
const storeMany = (events: number) =>
  Effect.gen(function* () {
    const largest = Math.floor(events / 2)
    yield* append(key, document(largest - 1))
    const rest = events - largest
    for (let i = 0; i < 20; i++) {
      const at = { libraryId: LibraryId.make(i % 2 === 0 ? "notes" : "plans"), streamId: `document-${i}` }
      const evicted = { _tag: "Evicted", snapshot: { ...snapshot("first") }, clocks: {} } as never
      const tail =
        i % 3 === 0 ? [evicted, snapshot("again")] : [snapshot("again"), { _tag: "Pruned" as const, before: 5 }]
      yield* append(at, [...document(Math.floor(rest / 20) - 3), ...tail])
    }
  })

/** The documents of these logs have no real messages, which an import refuses otherwise. */
const TAKING_ALL = ["--no-verify", "--with-access"] as const

describe("replay --to", () => {
  it("copies 100,000 events from SQLite to Postgres and back", async () => {
    const databases = [await make(freshFile), await make(freshPostgres), await make(freshFile)] as const
    await on(databases[0], storeMany(100_000))
    assert.strictEqual(await eventsIn(databases[0]), 100_000)
    for (const [from, to] of [databases.slice(0, 2), databases.slice(1, 3)] as const) {
      const copy = { to, written: 100_000, present: 0 }
      const first = jsonOf("replay", ok(await sealog(from!, "replay", "--to", to!, "--json")))
      assert.deepStrictEqual(first["copy"], copy)
      assert.deepStrictEqual(await held(to!), await held(from!))
      const again = ok(await sealog(from!, "replay", "--to", to!))
      assert.match(
        again.stdout,
        /^Copied 0 events to .*, which had 100,000 events before: 21 streams, the same at both/
      )
    }
    assert.deepStrictEqual(await held(databases[2]), await held(databases[0]))
  })

  for (const [name, source, target] of [
    ["SQLite to Postgres", freshFile, freshPostgres],
    ["Postgres to SQLite", freshPostgres, freshFile]
  ] as const) {
    it(`continues after it was killed: ${name}`, async () => {
      const [from, to] = [await make(source), await make(target)]
      const events = 60_000
      await on(from, storeMany(events))
      const killed = await run(["replay", "--to", to], {
        ...{ cwd, env: { DATABASE_URL: from }, terminal: ["stderr"] },
        signalAtStderr: { signal: "SIGKILL", fits: /copy .* ([5-9]|[1-5]\d),\d{3}\/60,000 / }
      })
      assert.isNull(killed.code)
      const present = await eventsIn(to)
      assert.isAbove(present, 0)
      assert.isBelow(present, events)
      const { copy } = jsonOf("replay", ok(await sealog(from, "replay", "--to", to, "--json")))
      const went = copy as { present: number; written: number }
      // The database may have stored the last batch after the command was killed.
      assert.isAtLeast(went.present, present)
      assert.strictEqual(went.present + went.written, events)
      assert.deepStrictEqual(await held(to), await held(from))
    })
  }

  for (const { name, fresh } of storages) {
    it(`copies and verifies a part, then the rest with later purges, on ${name}`, async () => {
      const [from, to] = [await make(freshFile), await make(fresh)]
      await on(from, storeDocument(5))
      const copy = ["replay", "--library", "notes", "--to", to, "--verify"]
      ok(await sealog(from, ...copy, "--document", "welcome", "--until", "3"))
      assert.strictEqual((await held(to))[0]?.version, 3)
      ok(await sealog(from, "suspend", "notes"))
      ok(await sealog(from, "evict", "notes", "--yes"))
      ok(await sealog(from, "token", "revoke", "1234"))
      const { copy: copied } = jsonOf("replay", ok(await sealog(from, ...copy, "--json")))
      assert.deepInclude(copied as object, { written: 5, present: 3 })
      ok(await sealog(from, "replay", "--to", to))
      assert.deepStrictEqual(await held(to), await held(from))
      assert.include(ok(await sealog(to, "replay")).stdout, "all as written")
      assert.include(ok(await sealog(from, "replay", "--until", "1d")).stdout, "6 events in 1 stream")
    })

    it(`refuses a target that holds another log, on ${name}`, async () => {
      const [from, to] = [await make(freshFile), await make(fresh)]
      await on(from, append(key, document(10)))
      await on(to, append(key, document(3)))
      await on(to, append(key, [update(3)], { recordedAt: 99 }))
      const before = await held(to)
      const ran = await sealog(from, "replay", "--to", to, "--json")
      assert.deepStrictEqual([ran.code, errorOf(ran).code], [1, "STREAM_DIVERGED"])
      assert.include(errorOf(ran).message, "notes/welcome version 5")
      assert.deepStrictEqual(await held(to), before)
    })
  }

  it("tells how to migrate a target that is not set up, and creates none", async () => {
    const from = await make(freshFile)
    await on(from, storeDocument(1))
    const empty = await make(emptyDatabase)
    writeFileSync(join(cwd, "empty.db"), "")
    for (const to of [empty, "sqlite:empty.db", "sqlite:not-there.db"]) {
      const ran = await sealog(from, "replay", "--to", to, "--json")
      assert.strictEqual(ran.code, 3, ran.stdout)
      assert.include(errorOf(ran).try ?? "", `sync-admin migrate --database ${to}`)
    }
    assert.isFalse(existsSync(join(cwd, "not-there.db")))
    for (const [args, code] of [
      [["--to", from], "SAME_DATABASE"],
      [["--to", "mysql://host"], "DATABASE_URL_INVALID"],
      [["--until", "7"], "USAGE"],
      [["--until", "soon"], "TIME_INVALID"],
      [["--until", "2026-02-30T25:00"], "TIME_INVALID"]
    ] as const) {
      const ran = await sealog(from, "replay", ...args, "--json")
      assert.deepStrictEqual([ran.code, errorOf(ran).code], [2, code], args.join(" "))
    }
  })

  it("draws its progress only on a terminal, and continues after Ctrl-C", async () => {
    const [from, to, last] = [await make(freshFile), await make(freshFile), await make(freshFile)]
    await on(from, storeMany(20_000))
    const output = join(cwd, "progress.jsonl")
    const atTerminal = (database: string, ...args: ReadonlyArray<string>) =>
      run(args, { cwd, env: { DATABASE_URL: database }, terminal: ["stderr"] })
    const stopped = await run(["replay", "--to", to, "--json"], {
      ...{ cwd, env: { DATABASE_URL: from }, terminal: ["stderr"] },
      signalAtStderr: { signal: "SIGINT", fits: /copy/ }
    })
    assert.deepStrictEqual([stopped.code, errorOf(stopped).code], [1, "INTERRUPTED"])
    assert.isBelow(await eventsIn(to), 20_000)
    const copied = ok(await atTerminal(from, "replay", "--to", to))
    assert.match(copied.stderr, /copy [█░]+ [\d,]+\/[\d,]+ {2}[\d,]+\/s {2}\d+ s left/)
    assert.deepStrictEqual(await held(to), await held(from))
    const exported = ok(await atTerminal(from, "export", "--output", output))
    assert.match(exported.stderr, /export [█░]+ 500\/20,000 /)
    const imported = ok(await atTerminal(last, "import", ...TAKING_ALL, "--input", output))
    assert.match(imported.stderr, /import \(bytes\) [█░]+ [\d,]+\/[\d,]+ /)
    assert.notInclude(ok(await sealog(from, "replay", "--to", to)).stderr, "copy")
  })

  it("reads the target's URL from a variable, which hides its password", async () => {
    const [from, to] = [await make(freshFile), await make(freshDatabase)]
    await on(from, storeDocument(1))
    const ran = await run(["replay", "--to", "env:TARGET"], { cwd, env: { DATABASE_URL: from, TARGET: to } })
    assert.match(ok(ran).stdout, /^Copied 2 events to postgres:/)
  })
})

/** Runs a command and returns its peak memory in bytes. */
const peakOf = async (database: string, ...args: ReadonlyArray<string>): Promise<number> => {
  const file = join(cwd, "peak.cjs")
  writeFileSync(file, `process.on("exit", () => process.stderr.write("\\n" + process.resourceUsage().maxRSS))`)
  const env = { DATABASE_URL: database, NODE_OPTIONS: `--require ${file}` }
  const { stderr } = ok(await run(args, { cwd, env }))
  return Number(stderr.split("\n").at(-1)) * 1024
}

describe("memory", () => {
  it("a stream of 400 payloads of 1 MB is never held in memory as a whole", async () => {
    const [from, to, last] = [await make(freshFile), await make(freshFile), await make(freshFile)]
    const size = 1_000_000
    for (let i = 0; i < 10; i++) {
      const updates = Array.from({ length: 40 }, (_, n) => update(i * 40 + n))
      await on(from, append(key, i === 0 ? [snapshot("first"), ...updates] : updates, { size }))
    }
    const output = join(cwd, "large.jsonl")
    const limit = 400 * size
    assert.isBelow(await peakOf(from, "replay", "--to", to), limit)
    assert.isBelow(await peakOf(from, "export", "--output", output), limit)
    assert.isBelow(await peakOf(last, "import", ...TAKING_ALL, "--input", output), limit)
    assert.isBelow(await peakOf(from, "events", "notes", "--last", "400"), limit)
    assert.deepStrictEqual(await held(last), await held(from))
  })
})

for (const { name, fresh } of storages) {
  describe(`export and import on ${name}`, () => {
    let from = ""
    beforeAll(async () => {
      from = await make(fresh)
      await on(from, storeMany(3000))
    })

    it("restore the same log through a pipe and through a file, into either storage", async () => {
      for (const [i, target] of [freshFile, freshPostgres].entries()) {
        const [piped, filed] = [await make(target), await make(target)]
        ok(await shell(from, `$ADMIN export | $ADMIN import --no-verify --with-access --database ${piped}`))
        assert.deepStrictEqual(await held(piped), await held(from))
        const output = join(cwd, `${name}-${i}.jsonl`)
        const exported = jsonOf("export", ok(await sealog(from, "export", "--output", output, "--json")))
        assert.deepInclude(exported, { streams: 21, events: 3000, problemCount: 0 })
        const first = jsonOf("import", ok(await sealog(filed, "import", ...TAKING_ALL, "--input", output, "--json")))
        assert.deepInclude(first, { events: 3000, written: 3000, present: 0 })
        const judged = await sealog(await make(target), "import", "--input", output, "--json")
        assert.deepStrictEqual([judged.code, errorOf(judged).code], [1, "LINE_REFUSED"])
        const again = ok(await sealog(filed, "import", ...TAKING_ALL, "--input", output))
        assert.strictEqual(again.stdout, "Imported 0 events of 3,000 in 21 streams; 3,000 were already there.\n")
        assert.deepStrictEqual(await held(filed), await held(from))
      }
    })

    // The rest of the commands is the same on each storage.
    if (name !== "SQLite") return

    it("export prints lines on stdout, and its report on stderr", async () => {
      const told = ok(await sealog(from, "export", "--library", "plans"))
      assert.match(told.stderr, /^Exported 750 events in 10 streams, .* of payloads\.\n$/)
      const json = ok(await sealog(from, "export", "--library", "plans", "--json"))
      assert.strictEqual(json.stdout, told.stdout)
      assert.strictEqual(jsonOf("export", { ...json, stdout: json.stderr })["events"], 750)
      const nothing = await sealog(from, "export", "--library", "nothing", "--json")
      assert.deepStrictEqual([nothing.code, nothing.stdout], [1, ""])
      assert.strictEqual(errorOf({ ...nothing, stdout: nothing.stderr }).code, "NO_SUCH_LIBRARY")
      const peek = await shell(from, "{ $ADMIN export; echo $? >&2; } | head -c 100")
      assert.match(peek.stderr, /OUTPUT_FAILED[\s\S]*\n1\n$/)
    })

    it("import refuses a missing, changed or moved line by its number, and stores nothing from there on", async () => {
      const { stdout } = ok(await sealog(from, "export"))
      const lines = stdout.split("\n").slice(0, -1)
      const changed = lines[9]!.replace(/"recordedAt":\d+/, '"recordedAt":1234')
      for (const [broken, line] of [
        [lines.slice(0, 10), 11],
        [lines.with(9, changed), 10],
        [lines.with(9, lines[10]!).with(10, lines[9]!), 10],
        [lines.toSpliced(9, 1), 10]
      ] as const) {
        const to = await make(fresh)
        const input = join(cwd, `${name}-broken.jsonl`)
        writeFileSync(input, `${broken.join("\n")}\n`)
        const ran = await sealog(to, "import", ...TAKING_ALL, "--input", input, "--json")
        assert.deepStrictEqual([ran.code, errorOf(ran).code], [1, "LINE_REFUSED"])
        assert.match(errorOf(ran).message, new RegExp(`^Line ${line}: `))
        assert.isBelow(await eventsIn(to), 10)
        // The whole export then completes the log.
        ok(await run(["import", ...TAKING_ALL], { cwd, env: { DATABASE_URL: to }, stdin: stdout }))
        assert.deepStrictEqual(await held(to), await held(from))
      }
      const to = await make(fresh)
      await on(to, append({ ...key, streamId: "document-0" }, document(5), { recordedAt: 7 }))
      const ran = await run(["import", ...TAKING_ALL, "--json"], { cwd, env: { DATABASE_URL: to }, stdin: stdout })
      assert.deepStrictEqual([ran.code, errorOf(ran).code], [1, "STREAM_DIVERGED"])
      assert.include(errorOf(ran).message, "notes/document-0 version 1")
    })

    it("export keeps the old file until the new one is complete", async () => {
      const output = join(cwd, `${name}-kept.jsonl`)
      writeFileSync(output, "what was there")
      const failed = await sealog(from, "export", "--library", "nothing", "--output", output)
      assert.strictEqual(failed.code, 1)
      assert.strictEqual(readFileSync(output, "utf8"), "what was there")
      assert.isFalse(existsSync(`${output}.part`))
      ok(await sealog(from, "export", "--output", output))
      assert.match(readFileSync(output, "utf8"), /^{"format"[\s\S]*}\n{"end"/)
      const nowhere = await sealog(from, "export", "--output", join(cwd, "not/there.jsonl"), "--json")
      assert.deepStrictEqual([nowhere.code, errorOf(nowhere).code], [1, "OUTPUT_FAILED"])
      assert.match(errorOf(nowhere).message, /^The export cannot be written: ENOENT/)
      const unread = await sealog(from, "import", "--input", join(cwd, "not-there.jsonl"), "--json")
      assert.deepStrictEqual([unread.code, errorOf(unread).code], [2, "INPUT_UNREADABLE"])
    })
  })

  describe(`events on ${name}`, () => {
    it("--follow shows events of other processes until a signal stops it", async () => {
      const database = await make(fresh)
      await on(database, storeDocument(8))
      const told = start(database, "events", "notes", "--follow")
      const json = start(database, "events", "notes", "--last", "1", "--follow", "--json")
      // Both commands follow the log from here on.
      assert.lengthOf(await told.lines(9), 9)
      assert.lengthOf(await json.lines(1), 1)
      ok(await sealog(database, "suspend", "notes"))
      ok(await sealog(database, "evict", "notes", "--yes"))
      const news = (await told.lines(11)).slice(9).join("\n")
      assert.match(news, /@library +1 {2}LibrarySuspended +by .+$/m)
      assert.match(news, /welcome +10 {2}Evicted +snapshot /)
      const lines = (await json.lines(3)).slice(1).map((line) => JSON.parse(line))
      assert.sameDeepMembers(
        lines.map((line) => [line.type, schemaErrors("events-follow", line)]),
        [
          ["LibrarySuspended", ""],
          ["Evicted", ""]
        ]
      )
      told.child.kill("SIGINT")
      json.child.kill("SIGINT")
      assert.deepStrictEqual([await told.ended, await json.ended], [0, 0])
      assert.include(ok(await sealog(database, "events", "notes", "welcome", "--last", "2")).stdout, "purged")
      assert.include(ok(await sealog(database, "events", "notes", "@library")).stdout, "LibrarySuspended")
      ok(await sealog(database, "token", "revoke", "--user", "ada"))
      assert.match(ok(await sealog(database, "events", "@server")).stdout, /@access +1 {2}UserRevoked .*user ada/)
    })

    // The rest of the commands is the same on each storage.
    if (name !== "SQLite") return

    let database = ""
    beforeAll(async () => {
      database = await make(fresh)
      await on(database, storeDocument(8))
    })

    it("are printed one per line, newest last, and match their schema with --json", async () => {
      const told = ok(await sealog(database, "events", "notes", "--last", "2")).stdout.split("\n")
      assert.lengthOf(told, 3)
      assert.match(told[1]!, /^2023-11-14 22:13:20 {2}welcome +9 {2}UpdateStored +[\d.]+ k?B {2}snapshot .*, clock 7$/)
      const { events } = jsonOf(
        "events",
        ok(await sealog(database, "events", "notes", "welcome", "--after", "4", "--json"))
      )
      assert.deepStrictEqual(
        (events as ReadonlyArray<{ version: number }>).map(({ version }) => version),
        [5, 6, 7, 8, 9]
      )
      for (const [args, exit, code] of [
        [["nothing"], 1, "NO_SUCH_LIBRARY"],
        [["notes", "nothing", "--follow"], 1, "NO_SUCH_DOCUMENT"],
        [["notes", "--after", "1"], 2, "USAGE"],
        [["notes", "welcome", "--after", "1", "--last", "3"], 2, "USAGE"],
        [["@other"], 2, "NAME_INVALID"]
      ] as const) {
        const ran = await sealog(database, "events", ...args, "--json")
        assert.deepStrictEqual([ran.code, errorOf(ran).code], [exit, code], args.join(" "))
      }
    })

    it("end with exit code 0 when the reader closes the pipe", async () => {
      const read = await make(fresh)
      await on(read, storeDocument(8))
      for (const args of ["notes --follow", "notes welcome --after 0 --follow --json", "notes --last 9"]) {
        let isOver = false
        const ending = shell(read, `{ $ADMIN events ${args}; echo ended with $? >&2; } | head -3`).finally(() => {
          isOver = true
        })
        while (!isOver) {
          await Promise.race([ending, setTimeout(3000)])
          // The command notices a closed pipe only on a write, so another event is stored.
          if (!isOver) await on(read, append(key, [update(0)]))
        }
        const ran = await ending
        assert.deepStrictEqual([ran.stdout.split("\n").length, ran.stderr], [4, "ended with 0\n"], args)
      }
    })

    it("show the operator and the reason of an operator's command", async () => {
      const database = await make(fresh)
      await on(database, storeDocument(2))
      const who = ["--as", "grace", "--reason", "left the company, see #7"]
      ok(await sealog(database, "token", "revoke", "--user", "ada", ...who))
      ok(await sealog(database, "suspend", "notes", ...who))
      ok(await sealog(database, "resume", "notes"))
      ok(await sealog(database, "library", "quota", "notes", "--objects", "7", ...who))
      assert.strictEqual(
        JSON.parse(ok(await sealog(database, "library", "quota", "notes", "--json")).stdout).quota.objects,
        7
      )
      ok(await sealog(database, "evict", "notes", "--suspend", "--yes", ...who))
      const shown = /UserRevoked .*user ada.*by grace, reason "left the company, see #7"$/m
      for (const name of ["@access", "@server"]) assert.match(ok(await sealog(database, "events", name)).stdout, shown)
      const events = JSON.parse(ok(await sealog(database, "events", "notes", "@library", "--json")).stdout).events
      const given = { operator: "grace", reason: "left the company, see #7" }
      assert.deepStrictEqual(
        events.map(({ data, type }: { readonly data: object; readonly type: string }) => [type, data]),
        [
          ["LibrarySuspended", given],
          ["LibraryResumed", { operator: userInfo().username }],
          ["QuotaSet", { objects: 7, ...given }],
          ["LibrarySuspended", given]
        ]
      )
      ok(await sealog(database, "replay"))
      const invalid = [
        ["suspend", "notes", "--as", ""],
        ["suspend", "notes", "--as", "a".repeat(201)],
        ["suspend", "notes", "--reason", "two\nlines"],
        ["suspend", "notes", "--reason", "\u001b[31mred"],
        ["suspend", "notes", "--reason", "a".repeat(501)],
        ["evict", "notes", "--reason", "no event holds it", "--yes"]
      ]
      for (const args of invalid) {
        const refused = await sealog(database, ...args, "--json")
        assert.strictEqual(refused.code, 2, args.join(" "))
        assert.strictEqual(errorOf(refused).code, "USAGE", args.join(" "))
      }
    })
  })
}
