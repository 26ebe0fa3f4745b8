/** The driver's behaviour that the log relies on. Published `@effect/sql-sqlite-node` 4.0.0-beta.102 lacks most of it. */
import { once } from "node:events"
import { mkdtempSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Worker } from "node:worker_threads"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Latch, Layer, References } from "effect"
import * as SqliteClient from "#driver"
import { SqliteStorage } from "../src/index.ts"

const freshFile = () => join(mkdtempSync(join(tmpdir(), "sealog-driver-")), "test.db")

const client = (filename: string, busyTimeout = 0) =>
  Effect.map(Layer.build(SqliteClient.layer({ filename, busyTimeout })), (context) =>
    Context.get(context, SqliteClient.SqliteClient)
  )

/** Lets other fibers run after this many steps of a fiber. With fewer than three, the fiber makes no progress. */
const yieldEvery = <A, E, R>(steps: number, effect: Effect.Effect<A, E, R>) =>
  Effect.provideService(effect, References.MaxOpsBeforeYield, steps)

const HOLD_FOR_A_WHILE = `
  const { parentPort, workerData } = require("node:worker_threads")
  const db = new (require("node:sqlite").DatabaseSync)(workerData)
  db.exec("BEGIN IMMEDIATE; INSERT INTO t VALUES (1)")
  parentPort.postMessage("held")
  // Long enough for the other writer to arrive and wait.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
  db.exec("COMMIT")`

describe("the SQLite driver", () => {
  it.effect("continues after a COMMIT that failed", () =>
    Effect.gen(function* () {
      const sql = yield* client(freshFile())
      yield* sql`PRAGMA foreign_keys = ON`
      yield* sql`CREATE TABLE parent (id INTEGER PRIMARY KEY)`
      yield* sql`CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)`
      const failed = yield* Effect.exit(sql.withTransaction(sql`INSERT INTO child VALUES (1)`))
      assert.strictEqual(failed._tag, "Failure")
      yield* sql.withTransaction(sql`INSERT INTO parent VALUES (2)`)
      assert.strictEqual((yield* sql`SELECT * FROM parent`).length, 1)
      assert.strictEqual((yield* sql`SELECT * FROM child`).length, 0)
    })
  )

  it.effect(
    "commits a plain transaction, or rolls it back when it throws, when SQLite fails, or when its COMMIT fails",
    () =>
      Effect.gen(function* () {
        const sql = yield* client(freshFile())
        yield* sql`PRAGMA foreign_keys = ON`
        yield* sql`CREATE TABLE parent (id INTEGER PRIMARY KEY)`
        yield* sql`CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)`
        const insert = (row: string) =>
          sql.transact((database) => {
            database.exec("INSERT INTO parent VALUES (7)")
            database.exec(row)
            if (row.startsWith("--")) throw new Error("not of the database")
            return database.isTransaction
          })
        const thrown = yield* Effect.exit(insert("-- nothing"))
        assert.isTrue(Exit.isFailure(thrown) && Cause.hasDies(thrown.cause), "an error of the caller is a defect")
        for (const row of ["INSERT INTO nowhere VALUES (1)", "INSERT INTO child VALUES (1)"]) {
          assert.strictEqual((yield* Effect.flip(insert(row)))._tag, "SqlError")
          assert.strictEqual((yield* sql`SELECT * FROM parent`).length, 0)
        }
        assert.isTrue(yield* insert("INSERT INTO child VALUES (7)"))
        assert.strictEqual((yield* sql`SELECT * FROM parent`).length, 1)
      })
  )

  it.effect("begins a plain transaction after another fiber's transaction", () =>
    Effect.gen(function* () {
      const sql = yield* client(freshFile())
      yield* sql`CREATE TABLE t (n INTEGER)`
      const begun = yield* Latch.make()
      const mayEnd = yield* Latch.make()
      const first = yield* Effect.forkChild(
        sql.withTransaction(Effect.all([sql`INSERT INTO t VALUES (1)`, begun.open, mayEnd.await]))
      )
      yield* begun.await
      const second = yield* Effect.forkChild(
        sql.transact((database) => database.prepare("SELECT count(*) AS count FROM t").get()?.["count"])
      )
      yield* Effect.yieldNow
      yield* mayEnd.open
      yield* Fiber.join(first)
      assert.strictEqual(yield* Fiber.join(second), 1)
    })
  )

  it.effect("takes the write lock at BEGIN, so that two transactions that read and then write both succeed", () =>
    Effect.gen(function* () {
      const filename = freshFile()
      const sql = yield* client(filename)
      yield* sql`CREATE TABLE counter (n INTEGER)`
      yield* sql`INSERT INTO counter VALUES (0)`
      const other = new DatabaseSync(filename)
      yield* sql.withTransaction(
        Effect.gen(function* () {
          const [row] = yield* sql<{ n: number }>`SELECT n FROM counter`
          // The second writer finds the file locked at BEGIN, and not only after both have read.
          assert.throws(() => other.exec("BEGIN IMMEDIATE"), /locked/)
          yield* sql`UPDATE counter SET n = ${row!.n + 1}`
        })
      )
      other.exec("BEGIN IMMEDIATE; UPDATE counter SET n = n + 1; COMMIT")
      other.close()
      assert.deepStrictEqual(yield* sql`SELECT n FROM counter`, [{ n: 2 }])
    })
  )

  it.effect("reports a busy file as a lock timeout, and works once it is free", () =>
    Effect.gen(function* () {
      const filename = freshFile()
      const sql = yield* client(filename, 50)
      yield* sql`CREATE TABLE t (n INTEGER)`
      const other = new DatabaseSync(filename)
      other.exec("BEGIN IMMEDIATE")
      const error = yield* Effect.flip(sql.withTransaction(sql`INSERT INTO t VALUES (1)`))
      assert.strictEqual(error._tag, "SqlError")
      assert.strictEqual(error.reason._tag, "LockTimeoutError")
      other.exec("ROLLBACK")
      other.close()
      yield* sql.withTransaction(sql`INSERT INTO t VALUES (1)`)
      assert.strictEqual((yield* sql`SELECT * FROM t`).length, 1)
    })
  )

  it.effect("waits for a busy file up to its time limit", () =>
    Effect.gen(function* () {
      const filename = freshFile()
      const sql = yield* client(filename, 60_000)
      yield* sql`CREATE TABLE t (n INTEGER)`
      // In a thread of its own, because a thread that waits for SQLite does nothing else.
      const holder = yield* Effect.acquireRelease(
        Effect.sync(() => new Worker(HOLD_FOR_A_WHILE, { eval: true, workerData: filename })),
        (worker) => Effect.promise(() => worker.terminate())
      )
      yield* Effect.promise(() => once(holder, "message"))
      yield* sql.withTransaction(sql`INSERT INTO t VALUES (2)`)
      assert.deepStrictEqual(yield* sql`SELECT n FROM t`, [{ n: 1 }, { n: 2 }])
    })
  )

  it.effect("runs a plain statement outside another fiber's transaction, however the two interleave", () =>
    Effect.gen(function* () {
      const sql = yield* client(freshFile())
      yield* sql`CREATE TABLE t (n INTEGER)`
      const refused = Effect.gen(function* () {
        yield* sql`INSERT INTO t VALUES (0)`
        // Gives a statement that began earlier the time to run inside this transaction, if the driver allowed it.
        for (let turn = 0; turn < 10; turn++) yield* Effect.yieldNow
        return yield* Effect.fail("roll back")
      })
      for (let steps = 3; steps <= 60; steps++) {
        const plain = yield* Effect.forkChild(yieldEvery(steps, sql`INSERT INTO t VALUES (${steps})`))
        const transaction = yield* Effect.forkChild(sql.withTransaction(refused))
        yield* Fiber.await(transaction)
        yield* Fiber.join(plain)
        assert.deepStrictEqual(yield* sql`SELECT n FROM t`, [{ n: steps }])
        yield* sql`DELETE FROM t`
      }
    })
  )

  it.effect(
    "commits all of an interrupted transaction or nothing, wherever it is interrupted, and runs the next one",
    () =>
      Effect.gen(function* () {
        const sql = yield* client(freshFile())
        yield* sql`CREATE TABLE t (n INTEGER)`
        const both = sql.withTransaction(Effect.andThen(sql`INSERT INTO t VALUES (1)`, sql`INSERT INTO t VALUES (2)`))
        const seen = new Set<number>()
        for (let turns = 0; turns < 200; turns++) {
          const transaction = yield* Effect.forkChild(yieldEvery(3, both))
          for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
          yield* Fiber.interrupt(transaction)
          const rows = yield* sql.withTransaction(sql`SELECT n FROM t`)
          assert.include([0, 2], rows.length)
          seen.add(rows.length)
          yield* sql`DELETE FROM t`
        }
        assert.strictEqual(seen.size, 2, "some transactions were interrupted before their end, some after")
      })
  )

  it.effect("rolls back an interrupted transaction, and drops an interrupted statement that waited for it", () =>
    Effect.gen(function* () {
      const sql = yield* client(freshFile())
      yield* sql`CREATE TABLE t (n INTEGER)`
      const inside = yield* Latch.make()
      const transaction = yield* Effect.forkChild(
        sql.withTransaction(Effect.andThen(sql`INSERT INTO t VALUES (1)`, Effect.andThen(inside.open, Effect.never)))
      )
      yield* inside.await
      const waiting = yield* Effect.forkChild(sql`INSERT INTO t VALUES (2)`)
      yield* Effect.yieldNow
      yield* Fiber.interrupt(waiting)
      yield* Fiber.interrupt(transaction)
      yield* sql.withTransaction(sql`INSERT INTO t VALUES (3)`)
      assert.deepStrictEqual(yield* sql`SELECT n FROM t`, [{ n: 3 }])
    })
  )

  it.effect("releases savepoints", () =>
    Effect.gen(function* () {
      const sql = yield* client(freshFile())
      yield* sql`CREATE TABLE t (n INTEGER)`
      yield* sql.withTransaction(
        Effect.gen(function* () {
          yield* sql.withTransaction(sql`INSERT INTO t VALUES (1)`)
          // A savepoint that was released cannot be rolled back to.
          const error = yield* Effect.flip(sql.unsafe("ROLLBACK TO SAVEPOINT effect_sql_1"))
          assert.match(String(error.reason.cause), /no such savepoint/)
          yield* Effect.exit(sql.withTransaction(Effect.andThen(sql`INSERT INTO t VALUES (2)`, Effect.fail("undo"))))
        })
      )
      assert.deepStrictEqual(yield* sql`SELECT n FROM t`, [{ n: 1 }])
    })
  )

  it.effect("fails instead of dying when a file cannot be opened or is no database", () =>
    Effect.gen(function* () {
      const notADatabase = freshFile()
      writeFileSync(notADatabase, "this is not a database, however long it may be".repeat(100))
      for (const filename of [join(freshFile(), "is", "not", "a", "folder.db"), notADatabase]) {
        const error = yield* Effect.flip(client(filename))
        assert.strictEqual(error._tag, "SqlError")
      }
    })
  )
})

describe("SqliteStorage", () => {
  it.effect("names the file that it cannot open, and the reason", () =>
    Effect.gen(function* () {
      const missing = freshFile()
      const error = yield* Effect.flip(Layer.build(SqliteStorage.layerWithoutMigrations({ filename: missing })))
      assert.strictEqual(error._tag, "StorageUnavailable")
      assert.include(error.message, missing)
      assert.include(error.message, "no such file")
    })
  )
})
