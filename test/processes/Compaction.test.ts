/** Two processes that compact one library at once: each operation is merged once, and both serve the same afterwards. */
import { assert, it } from "@effect/vitest"
import { EventLog, type PlacedEvent } from "@sealog/server/ports/EventLog"
import { libraryKey } from "@sealog/server/protocols/verdant/Rooms"
import { PgStorage } from "@sealog/storage-pg"
import { Context, Deferred, Effect, Fiber, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { connectVerdant } from "../support/clients/RawVerdant.ts"
import { freePort } from "../support/network/freePort.ts"
import { runCommand, spawnServer } from "../support/servers/ServerProcess.ts"
import { scrape, untilRisen } from "../support/servers/scrape.ts"
import { freshStorage, layerOf } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { type Library, libraryOn } from "../support/verdant/Library.ts"
import { makeLargeLibrary } from "../support/verdant/largeLibrary.ts"
import { makeReplica, type Replica } from "../support/verdant/Replica.ts"

/** Objects with two operations each: more than one slice of a compaction takes. */
const OBJECTS = 3000

it.live("two processes that compact one library at once merge each operation once, and serve the same", () =>
  Effect.gen(function* () {
    const database = yield* freshStorage
    const start = Effect.gen(function* () {
      const metricsPort = yield* Effect.promise(freePort)
      return { ...(yield* spawnServer(database, { args: ["--metrics-port", `${metricsPort}`] })), metricsPort }
    })
    const servers = yield* Effect.all([start, start], { concurrency: 2 })
    const log = Context.get(yield* Effect.orDie(Layer.build(layerOf(database))), EventLog)
    const library = libraryOn(servers[0])
    const on = servers.map((server): Library => ({ ...libraryOn(server, library.id) }))
    const key = libraryKey(library.id)
    const replica = makeReplica()
    const { events } = makeLargeLibrary(key, replica, {
      userId: "ada",
      objects: OBJECTS,
      perEvent: 100,
      now: Date.now()
    })
    yield* Effect.orDie(
      log.append([{ key, expectedVersion: 0, events: events as [PlacedEvent, ...Array<PlacedEvent>] }])
    )
    const join = Effect.fnUntraced(function* (at: Library, member: Replica, userId: string, fields: object) {
      const connection = yield* connectVerdant(at, yield* at.token({ userId }))
      connection.send(member.sync(fields))
      return yield* connection.next("sync-resp")
    })
    const isHeld = yield* Deferred.make<void>()
    const holding = yield* Effect.flatMap(SqlClient.SqlClient, (sql) =>
      sql`SELECT FROM sealog.streams WHERE library_id = ${library.id} FOR UPDATE`.pipe(
        Effect.andThen(Deferred.succeed(isHeld, undefined)),
        Effect.andThen(Effect.never),
        sql.withTransaction
      )
    ).pipe(Effect.provide(PgStorage.layerClient({ url: database })), Effect.forkChild)
    yield* Deferred.await(isHeld)
    yield* Effect.forEach(on, (at) => join(at, replica, "ada", { since: replica.now() }), { concurrency: 2 })

    // Both want to store the first slice: what they ask for is refused while the stream is held, and asked for again.
    for (const server of servers) {
      yield* untilRisen(server, yield* scrape(server), "sealog_commit_seconds_count", {}, 3)
    }
    yield* Fiber.interrupt(holding)
    const merged = Effect.map(Effect.orDie(log.read(key, { after: 0, payloads: false })), (placed) =>
      placed.flatMap(({ event }) =>
        event.type === "OperationsMerged" ? [(event.data as { readonly operations: number }).operations] : []
      )
    )
    yield* until(
      "all is merged",
      Effect.map(merged, (slices) => slices.reduce((sum, operations) => sum + operations, 0) >= 2 * OBJECTS)
    )
    const slices = yield* merged
    const conflicts = yield* Effect.forEach(servers, (server) =>
      Effect.map(scrape(server), ({ value }) => value("sealog_conflicts_total") ?? 0)
    )
    console.log(`${slices.length} slices, conflicts of the two processes: ${conflicts.join(" and ")}`)
    assert.isAbove(Math.max(...conflicts), 0)
    assert.strictEqual(
      slices.reduce((sum, operations) => sum + operations, 0),
      2 * OBJECTS
    )
    const contents = yield* Effect.forEach(on, (at) => join(at, makeReplica(), "bert", { resyncAll: true }))
    const [one, two] = contents.map(({ baselines }) => baselines as ReadonlyArray<{ readonly snapshot: unknown }>)
    assert.lengthOf(one!, OBJECTS)
    assert.deepStrictEqual(one, two)
    const replayed = yield* runCommand(database, "replay")
    assert.strictEqual(replayed.exitCode, 0, replayed.stdout + replayed.stderr)
  })
)
