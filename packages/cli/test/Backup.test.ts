/** `backup` and `restore` by the built binary: to a folder and to S3, with files, and what they say when something is wrong. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
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
import { BUCKET, S3_KEY, startS3 } from "#test-support/servers/S3Server"
import { emptyDatabase, layerOf, storages } from "#test-support/storage/databases"
import { holdings } from "../../../test/admin/support.ts"
import { errorOf, freshFolder, jsonOf, type Ran, run, storeDocument } from "./support.ts"

const scope = Scope.makeUnsafe()
const make = <A>(effect: Effect.Effect<A, never, Scope.Scope>) => Effect.runPromise(Scope.provide(effect, scope))
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const ok = (ran: Ran): Ran => {
  assert.strictEqual(ran.code, 0, ran.stderr + ran.stdout)
  return ran
}

const held = (database: string) => Effect.runPromise(Effect.provide(holdings, layerOf(database)))

/** Stores a file in a library, without a server. */
const uploadTo = (database: string, folder: string, name: string) =>
  Effect.gen(function* () {
    const [files, log] = [yield* BlobStore, yield* EventLog]
    const key = { libraryId: LibraryId.make("notes"), streamId: VERDANT }
    const fileId = FileId.make(name)
    const blob = newBlobKey(key.libraryId, fileId)
    const stored = yield* files.put(blob, Stream.make(Buffer.from(name)), 100)
    const [head = emptyHead] = yield* log.heads([key])
    const userId = UserId.make("ada")
    const data = { _tag: "FileStored" as const, fileId, name, type: "text/plain", userId, blob, ...stored }
    const event = place(key, head, toNewEvent(data, ""), "test", 1)
    yield* log.append([{ key, expectedVersion: head.version, events: [{ event, payload: null }] }])
    return blob
  }).pipe(Effect.provide([layerOf(database), layerFileSystem({ directory: folder })]), Effect.runPromise)

describe.each(storages)("backups of $name", ({ fresh }) => {
  it("go to a folder with their files, are listed and verified, and restore into an empty place only", async () => {
    const database = await make(fresh)
    const cwd = freshFolder()
    const sealog = (...args: ReadonlyArray<string>) => run(args, { cwd, env: { DATABASE_URL: database } })
    await Effect.runPromise(Effect.provide(storeDocument(5), layerOf(database)))
    await uploadTo(database, join(cwd, "files"), "one")
    const first = jsonOf("backup", ok(await sealog("backup", "--to", "backups", "--files", "files", "--json")))
    assert.deepInclude(first, { number: 1, written: 7, files: 1, fileBytes: 3, filesMissing: 0 })
    const two = await uploadTo(database, join(cwd, "files"), "two")
    const second = ok(await sealog("backup", "--to", "backups", "--files", "files"))
    assert.match(second.stdout, /^Backup 2 in backups: 1 new event of 8 events \(.*\), 1 new file \(3 B\)\.\n$/)
    const listed = jsonOf("backup-list", ok(await sealog("backup", "list", "--from", "backups", "--json")))
    assert.lengthOf(listed["backups"] as [], 2)
    assert.match(ok(await sealog("backup", "list", "--from", "backups")).stdout, /BACKUP +STARTED.*\n1 .*\n2 .*\n$/)
    const verified = ok(await sealog("backup", "verify", "--from", "backups"))
    assert.match(verified.stdout, /^Backup 2 of .* UTC: 8 events in 2 streams, 2 files: all as written\.\n$/)
    const dry = jsonOf("restore", ok(await sealog("restore", "--from", "backups", "--dry-run", "--json")))
    assert.deepInclude(dry, { dryRun: true, epoch: null, files: 2, problemCount: 0 })

    const target = ["--database", "sqlite:restored.db"]
    const unnamed = await sealog("restore", "--from", "backups", ...target, "--json")
    assert.strictEqual(errorOf(unnamed).code, "FILES_NOT_NAMED")
    const restored = ok(await sealog("restore", "--from", "backups", "--files", "new", ...target))
    assert.match(
      restored.stdout,
      /^Restored backup 2 of .*: 8 events in 2 streams, 2 files: all as written\.\nMarked: this is epoch 2/
    )
    assert.strictEqual(readFileSync(join(cwd, "new", two), "utf8"), "two")
    const there = (await held(`sqlite:${join(cwd, "restored.db")}`)).filter(({ streamId }) => streamId !== "@log")
    assert.deepStrictEqual(there, await held(database))
    const again = await sealog("restore", "--from", "backups", "--without-files", ...target, "--json")
    assert.strictEqual(errorOf(again).code, "TARGET_NOT_EMPTY")
    assert.strictEqual(again.code, 1)
  })

  it("go to S3, and come back from there", async () => {
    const database = await make(fresh)
    const cwd = freshFolder()
    const { endpoint } = await make(startS3)
    const env = {
      DATABASE_URL: database,
      S3_ENDPOINT: endpoint,
      S3_ACCESS_KEY_ID: S3_KEY,
      S3_SECRET_ACCESS_KEY: S3_KEY
    }
    const sealog = (...args: ReadonlyArray<string>) => run(args, { cwd, env })
    const at = `s3://${BUCKET}/of/notes`
    await Effect.runPromise(Effect.provide(storeDocument(5), layerOf(database)))
    await uploadTo(database, join(cwd, "files"), "one")
    ok(await sealog("backup", "--to", at, "--files", "files"))
    await uploadTo(database, join(cwd, "files"), "two")
    const second = jsonOf("backup", ok(await sealog("backup", "--to", at, "--files", "files", "--json")))
    assert.deepInclude(second, { number: 2, written: 1, files: 1 })
    const verified = jsonOf("backup-verify", ok(await sealog("backup", "verify", "--from", at, "--json")))
    assert.deepInclude(verified, { events: 8, files: 2, damagedParts: [], problemCount: 0 })
    ok(await sealog("restore", "--from", at, "--files", "new", "--database", "sqlite:restored.db"))
    const there = (await held(`sqlite:${join(cwd, "restored.db")}`)).filter(({ streamId }) => streamId !== "@log")
    assert.deepStrictEqual(there, await held(database))
  })
})

describe("backup", () => {
  const prepared = async () => {
    const database = await make(storages[0]!.fresh)
    const cwd = freshFolder()
    const sealog = (...args: ReadonlyArray<string>) => run(args, { cwd, env: { DATABASE_URL: database } })
    await Effect.runPromise(Effect.provide(storeDocument(5), layerOf(database)))
    return { database, cwd, sealog }
  }

  it("names a damaged segment, exits with 1, and restores nothing of it", async () => {
    const { cwd, sealog } = await prepared()
    ok(await sealog("backup", "--to", "backups"))
    const folder = join(cwd, "backups/log/segments")
    const [name = ""] = readdirSync(folder)
    const bytes = readFileSync(join(folder, name))
    bytes[40]! ^= 1
    writeFileSync(join(folder, name), bytes)
    const verified = await sealog("backup", "verify", "--from", "backups")
    assert.strictEqual(verified.code, 1)
    assert.include(verified.stdout, `log/segments/${name}: it was changed after it was written\n`)
    assert.match(verified.stdout, /1 damaged part, /)
    const restored = await sealog("restore", "--from", "backups", "--database", "sqlite:restored.db", "--json")
    assert.strictEqual(restored.code, 1)
    assert.strictEqual(errorOf(restored).code, "STREAM_DAMAGED")
    assert.include(errorOf(restored).message, `log/segments/${name}`)
  })

  it("says which files it lacks, and exits with 1", async () => {
    const { cwd, database, sealog } = await prepared()
    await uploadTo(database, join(cwd, "files"), "one")
    const ran = await sealog("backup", "--to", "backups")
    assert.strictEqual(ran.code, 1)
    assert.match(ran.stdout, /^notes file one \(.*\): file-missing: the store of files was not named\n1 file missing\./)
    ok(await sealog("backup", "--to", "backups", "--files", "files"))
  })

  it("refuses another log's place, a place that is not there, and S3 without its settings", async () => {
    const [one, other] = [await prepared(), await prepared()]
    ok(await one.sealog("backup", "--to", "backups"))
    const diverged = await other.sealog("backup", "--to", join(one.cwd, "backups"), "--json")
    assert.strictEqual(errorOf(diverged).code, "STREAM_DIVERGED")
    const nowhere = await one.sealog("restore", "--from", "nowhere", "--json")
    assert.strictEqual(errorOf(nowhere).code, "NO_SUCH_DIRECTORY")
    const unset = await one.sealog("backup", "--to", "s3://bucket", "--json")
    assert.strictEqual(errorOf(unset).code, "SETTING_INVALID")
    assert.include(errorOf(unset).message, "S3_ENDPOINT")
  })

  it("restores into Postgres, which has no tables yet", async () => {
    const { sealog } = await prepared()
    ok(await sealog("backup", "--to", "backups"))
    const target = await make(emptyDatabase)
    ok(await sealog("restore", "--from", "backups", "--without-files", "--database", target))
    ok(await sealog("replay", "--database", target))
  })
})
