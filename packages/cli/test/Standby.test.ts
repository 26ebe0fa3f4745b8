/** `replicate`, `promote` and `demote` by the built binary: their output, and what they refuse. */
import { existsSync, linkSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { layerFileSystem } from "@sealog/server/adapters/FileSystemBlobStore"
import { FileId, LibraryId, UserId } from "@sealog/server/domain/Ids"
import { emptyHead, place } from "@sealog/server/domain/Stream"
import { toNewEvent, VERDANT } from "@sealog/server/domain/verdant/Events"
import { BlobStore } from "@sealog/server/ports/BlobStore"
import { EventLog } from "@sealog/server/ports/EventLog"
import { newBlobKey } from "@sealog/server/protocols/verdant/files/BlobKeys"
import { Effect, Exit, Scope, Stream } from "effect"
import { afterAll, assert, describe, it } from "vitest"
import { layerOf, storages } from "#test-support/storage/databases"
import { errorOf, freshFolder, jsonOf, type Ran, run, serve, storeDocument } from "./support.ts"

const scope = Scope.makeUnsafe()
const make = <A>(effect: Effect.Effect<A, never, Scope.Scope>) => Effect.runPromise(Scope.provide(effect, scope))
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const ok = (ran: Ran): Ran => {
  assert.strictEqual(ran.code, 0, ran.stderr + ran.stdout)
  return ran
}

/** A log with a document, an empty database, and commands in a folder of their own. */
const prepared = async () => {
  const [database, standby] = [await make(storages[0]!.fresh), await make(storages[0]!.fresh)]
  const cwd = freshFolder()
  await Effect.runPromise(Effect.provide(storeDocument(5), layerOf(database)))
  const on = (url: string, ...args: ReadonlyArray<string>) =>
    run(args, { cwd, env: { DATABASE_URL: url, STANDBY_URL: standby } })
  return { database, standby, cwd, on }
}

describe("replicate", () => {
  it("copies what is there, and what was added, and says how far it is", async () => {
    const { database, on, standby } = await prepared()
    const first = jsonOf("replicate", ok(await on(database, "replicate", "--to", standby, "--json")))
    assert.deepInclude(first, { events: 6, files: 0, filesMissing: 0, failure: null })
    ok(await on(database, "suspend", "notes"))
    const second = ok(await on(database, "replicate", "--to", "env:STANDBY_URL"))
    assert.match(second.stdout, /^sqlite:.*: 1 event copied, \d+\.\d s behind\.\n$/)
    ok(await on(standby, "replay"))
    const checked = await on(standby, "doctor", "--json")
    assert.include(checked.stdout, "a standby of another log")
  })

  it("copies files as well", async () => {
    const { cwd, database, on, standby } = await prepared()
    const key = { libraryId: LibraryId.make("notes"), streamId: VERDANT }
    const fileId = FileId.make("one")
    const blob = newBlobKey(key.libraryId, fileId)
    await Effect.gen(function* () {
      const stored = yield* (yield* BlobStore).put(blob, Stream.make(Buffer.from("content")), 100)
      const userId = UserId.make("ada")
      const data = { _tag: "FileStored" as const, fileId, name: "one", type: "text/plain", userId, blob, ...stored }
      const event = place(key, emptyHead, toNewEvent(data, ""), "test", 1)
      yield* (yield* EventLog).append([{ key, expectedVersion: 0, events: [{ event, payload: null }] }])
    }).pipe(Effect.provide([layerOf(database), layerFileSystem({ directory: join(cwd, "files") })]), Effect.runPromise)
    const args = ["--to", standby, "--files", "files", "--files-to", "there"]
    assert.deepInclude(jsonOf("replicate", ok(await on(database, "replicate", ...args, "--json"))), { files: 1 })
    assert.isTrue(existsSync(join(cwd, "there", blob)))
    assert.deepInclude(jsonOf("replicate", ok(await on(database, "replicate", ...args, "--json"))), { files: 0 })
  })

  it("refuses its own database by any path, which it would make a standby, and leaves it writable", async () => {
    const cwd = freshFolder()
    const on = (...args: ReadonlyArray<string>) => run(args, { cwd })
    ok(await on("migrate"))
    symlinkSync("sealog.db", join(cwd, "data", "link.db"))
    linkSync(join(cwd, "data", "sealog.db"), join(cwd, "data", "same.db"))
    const paths = ["data/sealog.db", "./data/../data/sealog.db", join(cwd, "data", "sealog.db")]
    for (const path of [...paths, "data/link.db", "data/same.db"]) {
      for (const command of ["replicate", "replay"]) {
        const ran = await on(command, "--to", `sqlite:${path}`, "--json")
        assert.deepStrictEqual([ran.code, errorOf(ran).code], [2, "SAME_DATABASE"], `${command} ${path}`)
      }
    }
    ok(await on("document", "create", "notes", "welcome", "--new-library"))
  })

  it("refuses its own database on Postgres by another name of the host", async () => {
    const { on } = await prepared()
    for (const [from, to] of [
      ["postgres://ada@localhost:1/notes", "postgres://bob:b@127.0.0.1:1/notes"],
      ["postgres://ada@localhost:1/notes?sslmode=require", "postgresql://ada@LOCALHOST:1/notes"],
      ["postgres://ada@localhost:1/notes", "postgres://ada@localhost/other?port=1&dbname=notes"]
    ] as const) {
      for (const command of ["replicate", "replay"]) {
        const ran = await on(from, command, "--to", to, "--json")
        assert.strictEqual(errorOf(ran).code, "SAME_DATABASE", `${command} ${to}`)
      }
    }
  })

  it("tells how to migrate a standby that is not set up, and makes none", async () => {
    const { cwd, database, on } = await prepared()
    writeFileSync(join(cwd, "empty.db"), "")
    for (const to of ["sqlite:not-there.db", "sqlite:empty.db"]) {
      const ran = await on(database, "replicate", "--to", to, "--json")
      assert.deepStrictEqual([ran.code, errorOf(ran).try], [3, `sync-admin migrate --database ${to}`])
    }
    assert.isFalse(existsSync(join(cwd, "not-there.db")))
  })

  it("refuses a log that is no standby, and a standby that was changed", async () => {
    const [{ database, on, standby }, other] = [await prepared(), await prepared()]
    const full = await on(database, "replicate", "--to", other.database, "--json")
    assert.strictEqual(errorOf(full).code, "NOT_A_STANDBY")
    ok(await on(database, "replicate", "--to", standby))
    ok(await on(standby, "suspend", "notes"))
    ok(await on(database, "suspend", "notes"))
    const changed = await on(database, "replicate", "--to", standby, "--json")
    assert.strictEqual(errorOf(changed).code, "STREAM_DIVERGED")
    assert.strictEqual(changed.code, 1)
  })
})

describe("replicate --promote", () => {
  it("makes the standby the log of the servers, once the source has none", async () => {
    const { database, on, standby } = await prepared()
    const moved = jsonOf("replicate", ok(await on(database, "replicate", "--to", standby, "--promote", "--json")))
    assert.deepInclude(moved, { events: 6, failure: null, isPromoted: true })
    assert.strictEqual(errorOf(await on(database, "serve", "--port", "0", "--json")).code, "LOG_IS_STANDBY")
    assert.strictEqual(errorOf(await on(standby, "promote", "--json")).code, "NOT_A_STANDBY")
    ok(await on(standby, "suspend", "notes"))
    ok(await on(standby, "replay"))
  })

  it("promotes nothing when a signal stops it while the source's server runs", async () => {
    const { cwd, database, standby } = await prepared()
    const server = await serve([], { cwd, env: { DATABASE_URL: database } })
    const stopped = await run(["replicate", "--to", standby, "--promote"], {
      cwd,
      env: { DATABASE_URL: database },
      signalAtStdout: { signal: "SIGTERM", fits: /behind/ }
    })
    await server.stop("SIGKILL")
    assert.strictEqual(stopped.code, 1)
    assert.match(stopped.stdout, /6 events copied, .*\nNot promoted: /)
    const refused = await run(["serve", "--port", "0", "--json"], { cwd, env: { DATABASE_URL: standby } })
    assert.strictEqual(errorOf(refused).code, "LOG_IS_STANDBY")
  })

  it("refuses a source in Postgres, whose servers it cannot see", async () => {
    const { on, standby } = await prepared()
    const refused = await on("postgres://localhost:1/none", "replicate", "--to", standby, "--promote", "--json")
    assert.strictEqual(errorOf(refused).code, "USAGE")
    assert.include(errorOf(refused).message, "SQLite")
  })
})

describe("promote and demote", () => {
  it("end and begin a standby, which no server and no `restored` takes", async () => {
    const { database, on, standby } = await prepared()
    assert.strictEqual(errorOf(await on(database, "promote", "--json")).code, "NOT_A_STANDBY")
    ok(await on(database, "replicate", "--to", standby))
    for (const command of [["serve", "--port", "0"], ["restored"]]) {
      const refused = await on(standby, ...command, "--json")
      assert.strictEqual(errorOf(refused).code, "LOG_IS_STANDBY")
    }
    const promoted = jsonOf("promote", ok(await on(standby, "promote", "--as", "ada", "--json")))
    assert.deepInclude(promoted, { epoch: 2, libraries: 1 })
    assert.strictEqual(errorOf(await on(database, "replicate", "--to", standby, "--json")).code, "NOT_A_STANDBY")
    assert.deepStrictEqual(jsonOf("demote", ok(await on(database, "demote", "--json"))), { isStandby: true })
    assert.strictEqual(errorOf(await on(database, "serve", "--port", "0", "--json")).code, "LOG_IS_STANDBY")
    ok(await on(standby, "suspend", "notes"))
    assert.match(ok(await on(standby, "replicate", "--to", database)).stdout, /1 event copied/)
  })
})
