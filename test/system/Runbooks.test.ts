/** Every page of docs/runbooks: its commands as they stand, with real clients that lose nothing. */
import { type ChildProcess, spawn } from "node:child_process"
import { globSync, rmSync, writeFileSync } from "node:fs"
import { basename, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as JwtAccess from "@sealog/server/adapters/JwtAccess"
import { LibraryId } from "@sealog/server/domain/Ids"
import { Access } from "@sealog/server/ports/Access"
import { Effect, Redacted } from "effect"
import { vi } from "vitest"
import { freePort } from "../support/network/freePort.ts"
import { impatientClient } from "../support/secsync/impatientClient.ts"
import { connectClient, type SecsyncClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { assertStored } from "../support/secsync/Writers.ts"
import { mintToken, runCommand, syncAdmin } from "../support/servers/ServerProcess.ts"
import { randomName, TOKEN_SECRET } from "../support/servers/TestServer.ts"
import { emptyDatabase, freshDatabase } from "../support/storage/databases.ts"
import { smallDisk } from "../support/storage/disks.ts"
import { until } from "../support/until.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { openClient, untilSame } from "../support/verdant/VerdantClient.ts"
import { NEXT_MIGRATION, nextBuild } from "./NextBuild.ts"
import { kill, openRunbook, type RunbookOptions } from "./Runbook.ts"

// Each test starts and stops many processes.
vi.setConfig({ testTimeout: 900_000 })

/** `sync-admin` of the release before. Default: of this build. */
const PREVIOUS_BUILD = process.env["TEST_PREVIOUS_BUILD"]

/** The operations after which a server compacts the library, and some more. They make it too large for one event. */
const MANY_OPERATIONS = 1200
const LONG_TAG = "x".repeat(300)

const TESTED = [
  // citus.md needs a cluster: test/citus/Runbook.test.ts runs it.
  ...[
    "citus",
    "failover",
    "full-disk",
    "move-to-postgres",
    "restore",
    "rolling-upgrade",
    "rotated-keys",
    "stuck-commit"
  ]
]

const serveOn = (port: number) => `sync-admin serve --host 127.0.0.1 --port ${port} --metrics-port 0`

/** Opens a page for one server on a port, and starts it. */
const openFor = Effect.fnUntraced(function* (
  page: string,
  port: number,
  options: Partial<RunbookOptions> & { readonly database: string }
) {
  const { database, settings, units, variables } = options
  const runbook = yield* openRunbook(page, {
    units: { sealog: serveOn(port), ...units },
    settings: { DATABASE_URL: database, SEALOG_FILES: "FOLDER/files", TOKEN_SECRET, ...settings },
    variables: (folder) => ({ URL: `http://127.0.0.1:${port}`, ...variables?.(folder) })
  })
  yield* runbook.run("systemctl start sealog")
  yield* untilReady(port)
  return { ...runbook, url: `ws://127.0.0.1:${port}` }
})

const status = (port: number) =>
  Effect.promise(() =>
    fetch(`http://127.0.0.1:${port}/readyz`).then(
      ({ status }) => status,
      () => 0
    )
  )

const untilReady = (port: number) =>
  until(
    "the server is ready",
    Effect.map(status(port), (found) => found === 200)
  )

const clientsOf = Effect.fnUntraced(function* (url: string) {
  const options = { url, documentId: randomName(), token: yield* mintToken(randomName()) }
  const clients = [yield* connectClient(options), yield* connectClient(options)]
  return { options, clients, a: clients[0]!, b: clients[1]! }
})

const untilHave = (clients: ReadonlyArray<SecsyncClient>, count: number) =>
  untilAll(clients, `all have ${count}`, (client) => client.isSettledOnActive() && client.list().length === count)

/** Waits until a client without anything sees as much. */
const newcomerHas = Effect.fnUntraced(function* (options: Parameters<typeof connectClient>[0], count: number) {
  const newcomer = yield* connectClient(options)
  yield* newcomer.until(`a newcomer has ${count}`, () => newcomer.list().length === count)
})

/** Clients of both protocols at each of some servers. */
const writersAt = Effect.fnUntraced(function* (urls: ReadonlyArray<string>) {
  const token = yield* mintToken(randomName())
  const options = { url: urls[0]!, documentId: randomName(), token, snapshotEvery: 5 }
  const clients = yield* Effect.forEach([...urls, ...urls], (url) => connectClient({ ...options, url }))
  const libraryId = randomName()
  const devices = yield* Effect.forEach(urls, (url, i) =>
    openClient({ library: libraryOn({ url }, libraryId), user: `user ${i}` })
  )
  let [items, documents] = [0, 0]
  /** Writes to a document of Secsync, and to a library of Verdant. */
  const write = Effect.suspend(() => {
    clients[items % clients.length]!.write(String(++items))
    return devices[documents % devices.length]!.put({ content: String(++documents) })
  })
  /** Writes so much that a server compacts the library. */
  const writeMuch = Effect.gen(function* () {
    const id = yield* devices[0]!.put({ content: String(++documents) })
    yield* devices[0]!.edit(id, (item) => {
      for (let i = 0; i < MANY_OPERATIONS; i++) item.get("tags").push(`${i}${LONG_TAG}`)
    })
  })
  const allHaveAll = Effect.gen(function* () {
    yield* untilHave(clients, items)
    yield* newcomerHas(options, items)
    assert.lengthOf(yield* untilSame(devices), documents)
  })
  return { write, writeMuch, allHaveAll }
})

describe("the runbooks", () => {
  it("are all tested", () => {
    const pages = globSync("docs/runbooks/*.md", { cwd: join(import.meta.dirname, "../..") })
    const names = pages.map((page) => basename(page, ".md")).filter((name) => name !== "README")
    assert.sameMembers(names, TESTED)
  })

  it.live("restore.md brings a lost database back, and clients bring back the rest", () =>
    Effect.gen(function* () {
      const port = yield* Effect.promise(freePort)
      const page = yield* openFor("restore.md", port, { database: "sqlite:FOLDER/data/sealog.db" })
      const { a, b, clients, options } = yield* clientsOf(page.url)
      a.write("in the backup")
      yield* untilHave(clients, 1)
      yield* page.run('set -a; . "$SETTINGS"; set +a; sync-admin backup --to "$BACKUPS"')
      b.write("after the backup")
      yield* untilHave(clients, 2)
      kill(page.pidOf("sealog"))
      for (const suffix of ["", "-wal", "-shm"]) rmSync(join(page.folder, `data/sealog.db${suffix}`), { force: true })
      const output = yield* page.rest
      assert.include(output, "Marked: this is epoch 2")
      assert.include(output, "Backup 2 in")
      a.write("after the restore")
      yield* untilHave(clients, 3)
      yield* newcomerHas(options, 3)
      yield* page.run("sync-admin replay --database sqlite:$RESTORED/sealog.db")
    })
  )

  it.live("failover.md goes on with the standby of a primary that was killed", () =>
    Effect.gen(function* () {
      const port = yield* Effect.promise(freePort)
      const standby = yield* freshDatabase
      const page = yield* openFor("failover.md", port, {
        database: "sqlite:FOLDER/data/sealog.db",
        units: { "sealog-standby": `sync-admin replicate --to ${standby} --follow` },
        variables: () => ({ STANDBY: standby })
      })
      yield* page.run("systemctl start sealog-standby")
      const { a, clients, options } = yield* clientsOf(page.url)
      for (let item = 1; item <= 20; item++) a.write(String(item))
      yield* untilHave(clients, 20)
      yield* until("it replicates", () => /s behind/.test(page.logOf("sealog-standby")))
      kill(page.pidOf("sealog"))
      // The disk of the primary is gone as well: the standby is all that there is.
      yield* page.run('mv "$DATA" "$DATA.gone"')
      a.write("while it is gone")
      const output = yield* page.rest
      assert.include(output, "Promoted: this is epoch 2")
      yield* untilHave(clients, 21)
      yield* newcomerHas(options, 21)
      yield* page.run(`sync-admin replay --database ${standby}`)
    })
  )

  it.live("move-to-postgres.md moves a log with its clients connected, to a server that is ready before", () =>
    Effect.gen(function* () {
      const port = yield* Effect.promise(freePort)
      const target = yield* emptyDatabase
      const page = yield* openFor("move-to-postgres.md", port, {
        database: "sqlite:FOLDER/data/sealog.db",
        units: { "sealog-new": `env $(cat "$SETTINGS.new") ${serveOn(port)}` },
        variables: () => ({ TARGET: target })
      })
      const { a, b, clients, options } = yield* clientsOf(page.url)
      const { libraryId, longestWait, writer } = yield* impatientClient(page.url)
      a.write("1")
      yield* untilHave(clients, 1)
      yield* page.next
      yield* page.next
      b.write("2")
      yield* page.next
      yield* page.next
      // The new server waits, and the old one serves.
      a.write("3")
      yield* untilHave(clients, 3)
      assert.notInclude(page.logOf("sealog-new"), "server started")
      assert.notInclude(page.logOf("sealog"), "server stops")
      const connections = clients.map((client) => client.connections())
      const before = writer.acknowledged
      const output = yield* page.next
      assert.include(output, "Promoted: it holds all of the source")
      yield* until("a client writes to the new server", () => writer.acknowledged > before + 100)
      console.log(`The pause of the move was ${(longestWait() / 1000).toFixed(2)} s.`)
      yield* page.rest
      b.write("4")
      yield* untilHave(clients, 4)
      for (const [i, client] of clients.entries()) assert.isAbove(client.connections(), connections[i]!)
      yield* newcomerHas(options, 4)
      yield* assertStored(target, libraryId, [{ ...writer }], "moved")
      yield* page.run(`sync-admin replay --database ${target}`)
      yield* page.run("! sync-admin serve --port 0 --database $OLD")
    })
  )

  it.live("full-disk.md makes room, and the server goes on by itself", () =>
    Effect.gen(function* () {
      const port = yield* Effect.promise(freePort)
      const disk = yield* smallDisk("24m")
      writeFileSync(join(disk, "reserve"), Buffer.alloc(8 * 1024 * 1024))
      const page = yield* openFor("full-disk.md", port, {
        database: `sqlite:${disk}/sealog.db`,
        variables: () => ({ DATA: disk, RESERVE: "1M" })
      })
      const { a, clients, options } = yield* clientsOf(page.url)
      a.write("before")
      yield* untilHave(clients, 1)
      // Everything but the reserve is full.
      yield* page.run('cat /dev/zero > "$DATA/other" || true')
      let items = 1
      while ((yield* status(port)) === 200) {
        a.write("x".repeat(4000))
        items += 1
        yield* Effect.sleep("20 millis")
      }
      const output = yield* page.rest
      assert.include(output, "/reserve")
      yield* untilHave(clients, items)
      yield* newcomerHas(options, items)
      yield* page.run("sync-admin replay")
    })
  )

  it.live("stuck-commit.md ends the session that holds the log", () =>
    Effect.gen(function* () {
      const port = yield* Effect.promise(freePort)
      const database = yield* freshDatabase
      const page = yield* openFor("stuck-commit.md", port, { database, variables: () => ({ ADMIN_URL: database }) })
      const { a, clients, options } = yield* clientsOf(page.url)
      a.write("before")
      yield* untilHave(clients, 1)
      const console = yield* Effect.acquireRelease(
        Effect.promise(
          () =>
            new Promise<ChildProcess>((resolve) => {
              const env = { ...process.env, PGAPPNAME: "a forgotten console" }
              const child = spawn("psql", [database, "--no-psqlrc"], { env })
              child.stdout.on("data", (data) => {
                if (String(data).includes("it is locked")) resolve(child)
              })
              child.stdin.write("BEGIN;\nLOCK TABLE sealog.streams IN ACCESS EXCLUSIVE MODE;\n\\echo it is locked\n")
            })
        ),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      let said = ""
      console.stderr?.on("data", (data) => {
        said += String(data)
      })
      a.write("while it is stuck")
      yield* until(
        "the server is not ready",
        Effect.map(status(port), (found) => found === 503)
      )
      const output = yield* page.rest
      assert.include(output, "a forgotten console")
      yield* untilHave(clients, 2)
      yield* newcomerHas(options, 2)
      console.stdin?.write("COMMIT;\n")
      yield* until("its session has ended", () => said.includes("terminating connection"))
    })
  )

  it.live("rotated-keys.md accepts tokens of both secrets, and then those of the new one alone", () =>
    Effect.gen(function* () {
      const port = yield* Effect.promise(freePort)
      const page = yield* openFor("rotated-keys.md", port, { database: "sqlite:FOLDER/data/sealog.db" })
      const libraryId = LibraryId.make(randomName())
      const mintWith = (secret: string) =>
        Effect.flatMap(Access, (access) => access.mint({ userId: "ada", libraryId })).pipe(
          Effect.provide(JwtAccess.layerTokens([Redacted.make(secret)])),
          Effect.orDie
        )
      const options = { url: page.url, documentId: randomName() }
      const before = yield* connectClient({ ...options, token: yield* mintWith(TOKEN_SECRET) })
      before.write("before")
      yield* untilHave([before], 1)
      yield* page.next
      yield* page.next
      const secret = (yield* page.run('printf %s "$NEW_SECRET"')).trim()
      const after = yield* connectClient({ ...options, token: yield* mintWith(secret) })
      before.write("with the old secret")
      after.write("with the new secret")
      yield* untilHave([before, after], 3)
      yield* page.rest
      after.write("with the new secret alone")
      yield* untilHave([after], 4)
      yield* before.until("the old token is refused", () => before.state() === "noAccess")
    })
  )

  it.live(
    "rolling-upgrade.md upgrades two servers to a version with another schema, and their clients lose nothing",
    () =>
      Effect.gen(function* () {
        const ports = [yield* Effect.promise(freePort), yield* Effect.promise(freePort)] as const
        const urls = ports.map((port) => `ws://127.0.0.1:${port}`)
        const database = yield* freshDatabase
        const units = ["sealog@1", "sealog@2"]
        const page = yield* openRunbook("rolling-upgrade.md", {
          units: { [units[0]!]: serveOn(ports[0]), [units[1]!]: serveOn(ports[1]) },
          settings: { DATABASE_URL: database, SEALOG_FILES: "FOLDER/files", TOKEN_SECRET },
          variables: () => ({ URLS: ports.map((port) => `http://127.0.0.1:${port}`).join(" ") })
        })
        page.install(PREVIOUS_BUILD ?? syncAdmin)
        yield* page.run(`systemctl start ${units.join(" ")}`)
        yield* Effect.forEach(ports, untilReady)
        const { allHaveAll, write, writeMuch } = yield* writersAt(urls)
        /** Follows the page from its first to its last step, and returns what the migration printed. */
        const upgradeTo = Effect.fnUntraced(function* (
          program: string,
          afterMigration: Effect.Effect<void> = Effect.void
        ) {
          yield* writeMuch
          page.reopen()
          yield* page.next
          yield* page.next
          page.install(program)
          const migrated = yield* page.next
          yield* write
          yield* allHaveAll
          yield* afterMigration
          const pids = units.map(page.pidOf)
          let isDone = false
          const writing = Effect.gen(function* () {
            while (!isDone) {
              yield* write
              yield* Effect.sleep("50 millis")
            }
          })
          yield* Effect.all([Effect.tap(page.next, () => Effect.sync(() => (isDone = true))), writing], {
            concurrency: 2
          })
          for (const [i, unit] of units.entries()) assert.notStrictEqual(page.pidOf(unit), pids[i])
          yield* allHaveAll
          assert.include(yield* page.rest, "all as written")
          return migrated
        })
        if (PREVIOUS_BUILD !== undefined) {
          const migrated = yield* upgradeTo(syncAdmin)
          // On the same schema, the same steps lead back.
          if (migrated.includes("up to date")) {
            for (const program of [PREVIOUS_BUILD, syncAdmin]) yield* upgradeTo(program)
          }
        }
        // Both servers are of this version, on the schema of the next one.
        const refusesToStart = Effect.gen(function* () {
          const { stderr, stdout } = yield* runCommand(database, "serve", "--port", "0")
          assert.include(stderr + stdout, "newer")
        })
        assert.include(yield* upgradeTo(yield* nextBuild, refusesToStart), NEXT_MIGRATION)
      })
  )
})
