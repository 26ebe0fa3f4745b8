/** Databases and roles that are set in a way that a log must cope with. */
import { assert, describe, it } from "@effect/vitest"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { LibraryId } from "@sealog/server/domain/Ids"
import { emptyHead, type NewEvent, place } from "@sealog/server/domain/Stream"
import { type Append, EventLog } from "@sealog/server/ports/EventLog"
import { Context, Effect, Exit, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { freshDatabase } from "#test-support/storage/databases"
import { PgStorage } from "../src/index.ts"

const payload = new TextEncoder().encode("sealed")
const update: NewEvent = { type: "UpdateStored", data: {}, payloadHash: blake2b256(payload), checkpoint: false }

const appendTo = (streamId: string): Append => {
  const key = { libraryId: LibraryId.make("notes"), streamId }
  return { key, expectedVersion: 0, events: [{ event: place(key, emptyHead, update, "test", 1), payload }] }
}

const openLog = (url: string, maxConnections = 10) =>
  Effect.map(Layer.build(PgStorage.layerWithoutMigrations({ url, maxConnections })), (services) =>
    Context.get(services, EventLog)
  )

/** A database, and a client of its own that changes the database's settings. */
const makeDatabase = Effect.gen(function* () {
  const url = yield* freshDatabase
  const services = yield* Layer.build(PgStorage.layerClient({ url }))
  return { url, sql: Context.get(services, SqlClient.SqlClient), name: new URL(url).pathname.slice(1) }
})

const committed = { _tag: "Committed" } as const

describe("a database whose transactions are serializable unless they say otherwise", () => {
  it.live("lets one of several writers of a stream win, and the others see the conflict", () =>
    Effect.gen(function* () {
      const { name, sql, url } = yield* makeDatabase
      yield* sql.unsafe(`ALTER DATABASE "${name}" SET default_transaction_isolation = 'serializable'`)
      const logs = [yield* openLog(url), yield* openLog(url)]
      for (let round = 0; round < 10; round++) {
        const key = appendTo(`stream-${round}`).key
        yield* logs[0]!.append([appendTo(key.streamId)])
        const addOne = (log: EventLog["Service"]) =>
          Effect.gen(function* () {
            const [head] = yield* log.heads([key])
            const event = place(key, head!, update, "test", 1)
            return yield* log.append([{ key, expectedVersion: head!.version, events: [{ event, payload }] }])
          })
        const attempts = Array.from({ length: 8 }, (_, i) => addOne(logs[i % 2]!))
        const results = (yield* Effect.all(attempts, { concurrency: "unbounded" })).flat()
        const stored = results.filter(({ _tag }) => _tag === "Committed").length
        assert.isAbove(stored, 0)
        assert.strictEqual((yield* logs[0]!.heads([key]))[0]?.version, 1 + stored)
        const [held] = yield* logs[1]!.exclusively(key, addOne(logs[1]!))
        assert.deepStrictEqual(held, committed)
      }
    })
  )
})

describe("a role with fewer connections than the pool", () => {
  it.live("has calls wait for each other, and none fails", () =>
    Effect.gen(function* () {
      const { name, sql, url } = yield* makeDatabase
      const role = `few_${name}`
      yield* Effect.acquireRelease(sql.unsafe(`CREATE ROLE "${role}" LOGIN CONNECTION LIMIT 2`), () =>
        Effect.ignore(sql.unsafe(`DROP OWNED BY "${role}"; DROP ROLE "${role}"`))
      )
      yield* PgStorage.grant({ url }, role)
      const limited = new URL(url)
      limited.username = role
      yield* Effect.scoped(
        Effect.gen(function* () {
          const log = yield* openLog(limited.href)
          const names = Array.from({ length: 40 }, (_, i) => `stream-${i}`)
          const write = (name: string) => log.append([appendTo(name)])
          const results = yield* Effect.forEach(names, write, { concurrency: "unbounded" })
          assert.deepStrictEqual(
            results.flat(),
            names.map(() => committed)
          )
        })
      )
    })
  )
})

describe("sessions that stay read-only", () => {
  it.live("end once a write fails because of one, and the next write is stored", () =>
    Effect.gen(function* () {
      const { name, sql, url } = yield* makeDatabase
      yield* sql.unsafe(`ALTER DATABASE "${name}" SET default_transaction_read_only = on`)
      const log = yield* openLog(url, 4)
      const read = log.heads([appendTo("welcome").key])
      yield* Effect.all(
        Array.from({ length: 20 }, () => read),
        { concurrency: "unbounded" }
      )
      yield* sql.unsafe(`ALTER DATABASE "${name}" RESET default_transaction_read_only`)
      const refused = yield* Effect.flip(log.append([appendTo("welcome")]))
      assert.include(refused.message, "read-only")
      const results = yield* Effect.forEach(["a", "b", "c", "d", "e", "f"], (name) =>
        Effect.exit(log.append([appendTo(name)]))
      )
      assert.deepStrictEqual(
        results,
        results.map(() => Exit.succeed([committed]))
      )
    })
  )
})
