/** A power cut in the middle of a write to a SQLite file, and pages of the file that were written by half. */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import { LibraryId } from "@sealog/server/domain/Ids"
import { Array, Deferred, Effect, Exit, Logger, Scope } from "effect"
import { makeRandom } from "../support/random.ts"
import { assertStored, begin, makeWriter, type Writer, writeOn } from "../support/secsync/Writers.ts"
import { openWhole, storeDocuments } from "../support/secsync/wholeDocuments.ts"
import { mintToken, runCommand, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName, startServer } from "../support/servers/TestServer.ts"
import { overwrite } from "../support/storage/damage.ts"
import { storages } from "../support/storage/databases.ts"
import { readWriteAheadLog } from "../support/storage/writeAheadLog.ts"

const [{ fresh }] = storages.filter(({ name }) => name === "SQLite") as [(typeof storages)[number]]

const filenameOf = (database: string) => database.slice("sqlite:".length)

/** A copy of the file and of its write-ahead log. */
const copyOf = (filename: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const copy = join(mkdtempSync(join(tmpdir(), "sealog-torn-")), "sealog.db")
      copyFileSync(filename, copy)
      if (existsSync(`${filename}-wal`)) copyFileSync(`${filename}-wal`, `${copy}-wal`)
      return copy
    }),
    (copy) => Effect.sync(() => rmSync(join(copy, ".."), { recursive: true }))
  )

/** Documents on some dozen pages. */
const DOCUMENTS = 6

/** Documents whose index has several pages. */
const RUNNING_DOCUMENTS = 60

/** A file without a write-ahead log, whose server has ended, with some documents and the same number of updates of each. */
const writtenFile = Effect.fnUntraced(function* (count: number) {
  const database = yield* fresh
  const filename = filenameOf(database)
  const scope = yield* Scope.make()
  const server = yield* Scope.provide(startServer({ database }), scope)
  const documents = yield* storeDocuments(server, count)
  yield* Scope.close(scope, Exit.void)
  const connection = new DatabaseSync(filename)
  connection.exec("PRAGMA wal_checkpoint(TRUNCATE)")
  connection.close()
  return { documents, filename }
})

const halfOfPage = (filename: string): number => readFileSync(filename).readUInt16BE(16) / 2

const noise = (bytes: number) => crypto.getRandomValues(new Uint8Array(bytes))

describe("a -wal that a power cut tore after real writes", () => {
  it.live("everything acknowledged before the tear is there, nothing is half there, and the writers go on", () =>
    Effect.gen(function* () {
      const random = makeRandom()
      console.log(`Torn writes with TEST_SEED=${random.seed}`)
      const database = yield* fresh
      const filename = filenameOf(database)
      const libraryId = LibraryId.make(randomName())
      const token = yield* mintToken(libraryId)
      const documents = [randomName(), randomName()]
      const writers = [...documents, documents[0]!].map(makeWriter)

      const server = yield* spawnServer(database)
      for (const documentId of documents) yield* begin(server.url, documentId, token)
      const [some, enough] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      let left = 400
      const onAcknowledged = () => {
        left -= 1
        if (left === 200) Deferred.doneUnsafe(some, Effect.void)
        if (left === 0) Deferred.doneUnsafe(enough, Effect.void)
      }
      yield* Effect.forEach(writers, (writer) => writeOn(server.url, writer, token, onAcknowledged))
      yield* Deferred.await(some)
      const acknowledged = writers.map((writer) => writer.acknowledged)
      const synced = readWriteAheadLog(filename)
      yield* Deferred.await(enough)
      yield* server.kill

      const { frameBytes, frames, salt } = readWriteAheadLog(filename)
      // After SQLite began at the start of the file again, all older frames are in the database itself.
      const torn = frames.slice(salt === synced.salt ? synced.frames.length : 0)
      assert.isAbove(torn.length, 50)
      const somewhere = () => torn[random.next(torn.length)]!.at
      const tears: ReadonlyArray<readonly [string, (wal: string) => void]> = [
        ["it ends within a frame", (wal) => truncateSync(wal, somewhere() + 1 + random.next(frameBytes - 1))],
        [
          "its last frame has wrong bytes",
          (wal) => overwrite(wal, torn.at(-1)!.at + 24 + random.next(4000), noise(64))
        ],
        [
          "a frame is missing, and later ones are there",
          (wal) => overwrite(wal, somewhere(), new Uint8Array(frameBytes))
        ]
      ]
      for (const [what, tear] of tears) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const copy = yield* copyOf(filename)
            tear(`${copy}-wal`)
            const returned = writers.map((writer, i): Writer => ({ ...writer, acknowledged: acknowledged[i]! }))
            const restarted = yield* startServer({ database: `sqlite:${copy}` })
            yield* assertStored(restarted.database, libraryId, returned, what)
            const goesOn = yield* Deferred.make<void>()
            let again = 100
            yield* Effect.forEach(returned, (writer) =>
              writeOn(restarted.url, writer, token, () => {
                again -= 1
                if (again === 0) Deferred.doneUnsafe(goesOn, Effect.void)
              })
            )
            yield* Deferred.await(goesOn)
            yield* assertStored(restarted.database, libraryId, returned, what)
            const replayed = yield* runCommand(restarted.database, "replay")
            assert.strictEqual(replayed.exitCode, 0, `${what}: ${replayed.stdout}${replayed.stderr}`)
          })
        )
      }
    })
  )
})

describe("pages of the file that were written by half", () => {
  it.live("a page that the -wal still has is served from there: a checkpoint was cut off", () =>
    Effect.gen(function* () {
      const database = yield* fresh
      const filename = filenameOf(database)
      const libraryId = LibraryId.make(randomName())
      const token = yield* mintToken(libraryId)
      const documentId = randomName()
      const writer = makeWriter(documentId)
      const server = yield* spawnServer(database)
      yield* begin(server.url, documentId, token)
      const enough = yield* Deferred.make<void>()
      yield* writeOn(server.url, writer, token, () => {
        if (writer.acknowledged === 100) Deferred.doneUnsafe(enough, Effect.void)
      })
      yield* Deferred.await(enough)
      yield* server.kill
      const { frameBytes, frames } = readWriteAheadLog(filename)
      const half = (frameBytes - 24) / 2
      for (const { page } of frames) overwrite(filename, (page * 2 - 1) * half, noise(half))
      const restarted = yield* startServer({ database })
      yield* assertStored(restarted.database, libraryId, [writer], "after the checkpoint was cut off")
      yield* writeOn(restarted.url, writer, token)
      const doctor = yield* runCommand(database, "doctor", "--port", "1")
      assert.notMatch(doctor.stdout, /the file is damaged/)
    })
  )

  it.live("a page of an index that is written by half while the server runs hides no document and no update", () =>
    Effect.gen(function* () {
      const { documents, filename } = yield* writtenFile(RUNNING_DOCUMENTS)
      const connection = new DatabaseSync(filename)
      const pages = connection
        .prepare("SELECT name, pageno FROM dbstat WHERE name LIKE 'sqlite_autoindex_%' ORDER BY name, pageno")
        .all() as unknown as ReadonlyArray<{ readonly name: string; readonly pageno: number }>
      connection.close()
      const half = halfOfPage(filename)
      const outcomes = { whole: 0, closed: 0 }
      for (const [{ name, pageno }, second] of pages.flatMap((page) => [[page, 0] as const, [page, 1] as const])) {
        const what = `the ${second === 0 ? "first" : "second"} half of page ${pageno}, of ${name}`
        yield* Effect.scoped(
          Effect.gen(function* () {
            const copy = yield* copyOf(filename)
            const server = yield* startServer({ database: `sqlite:${copy}` })
            // A write of another process, after which the server reads its pages again.
            const other = new DatabaseSync(copy)
            other.exec("UPDATE streams SET updated_at = updated_at; PRAGMA wal_checkpoint(TRUNCATE)")
            other.close()
            overwrite(copy, ((pageno - 1) * 2 + second) * half, new Uint8Array(half))
            for (const { options } of documents) outcomes[yield* openWhole({ ...options, url: server.url }, what)] += 1
          }).pipe(Effect.provide(Logger.layer([])))
        )
      }
      assert.isAbove(outcomes.closed, 0)
      console.log(`${pages.length * 2} torn halves of indexes under a server: ${JSON.stringify(outcomes)}`)
    })
  )

  it.live("any other page is served whole, or its documents are closed with 1011, or the server does not start", () =>
    Effect.gen(function* () {
      const { documents, filename } = yield* writtenFile(DOCUMENTS)
      const half = halfOfPage(filename)
      const halves = statSync(filename).size / half
      const outcomes = { whole: 0, closed: 0, refused: 0 }
      for (const torn of Array.range(0, halves - 1)) {
        const what = `the ${torn % 2 === 0 ? "first" : "second"} half of page ${Math.floor(torn / 2) + 1}`
        yield* Effect.scoped(
          Effect.gen(function* () {
            const copy = yield* copyOf(filename)
            overwrite(copy, torn * half, new Uint8Array(half))
            const started = yield* Effect.exit(startServer({ database: `sqlite:${copy}` }))
            if (Exit.isFailure(started)) {
              outcomes.refused += 1
              return assert.match(String(started.cause), /malformed|damaged|not a database/, what)
            }
            for (const { options } of documents) {
              outcomes[yield* openWhole({ ...options, url: started.value.url }, what)] += 1
            }
          }).pipe(Effect.provide(Logger.layer([])))
        )
      }
      console.log(`${halves} torn pages: ${JSON.stringify(outcomes)}`)
    })
  )
})
