/** Two processes whose commits become visible in another order than that in which they began: no reader skips an event. */
import { assert, it } from "@effect/vitest"
import { LibraryId } from "@sealog/server/domain/Ids"
import { EventLog } from "@sealog/server/ports/EventLog"
import { type Author, makeAuthor, updateMessage } from "@sealog/server/testing"
import { PgStorage } from "@sealog/storage-pg"
import { Deferred, Effect, Fiber } from "effect"
import { SqlClient } from "effect/sql"
import { connectRaw, type RawSecsync } from "../support/clients/RawSecsync.ts"
import { begin } from "../support/secsync/Writers.ts"
import { mintToken, runCommand, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { administer, freshDatabase, layerOf } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"

const LOCK = 4711

/** Lets the commit of every event of this author wait until the lock is free: its events have a version and are not visible. */
const holdCommitsOf = ({ pubKey }: Author, database: string) =>
  Effect.forEach(
    [
      `CREATE FUNCTION sealog.wait_to_commit() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_advisory_xact_lock(${LOCK}); RETURN NULL; END $$`,
      `CREATE CONSTRAINT TRIGGER waits_to_commit AFTER INSERT ON sealog.events DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.data::text LIKE '%${pubKey}%') EXECUTE FUNCTION sealog.wait_to_commit()`
    ],
    (statement) => administer(statement, database)
  )

/** Holds the lock in a transaction of its own, until the fiber is interrupted. */
const takeLock = Effect.fnUntraced(function* (database: string) {
  const isTaken = yield* Deferred.make<void>()
  const holding = yield* Effect.flatMap(SqlClient.SqlClient, (sql) =>
    sql`SELECT pg_advisory_xact_lock(${LOCK})`.pipe(
      Effect.andThen(Deferred.succeed(isTaken, undefined)),
      Effect.andThen(Effect.never),
      sql.withTransaction
    )
  ).pipe(Effect.provide(PgStorage.layerClient({ url: database })), Effect.forkChild)
  yield* Deferred.await(isTaken)
  return holding
})

const isWaitedFor = (database: string) =>
  Effect.map(
    administer(
      "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory' AND query NOT LIKE '%pg_advisory%'",
      database
    ),
    (rows) => (rows as ReadonlyArray<unknown>).length > 0
  )

type Connected = Effect.Success<ReturnType<typeof connectRaw>>

const keysOf = ({ frames }: RawSecsync) =>
  frames.flatMap(({ publicData, type }) =>
    type === "update" ? [(publicData as { readonly pubKey: string }).pubKey] : []
  )

it.live("a commit that becomes visible after a later one of another process is skipped by no reader", () =>
  Effect.gen(function* () {
    const database = yield* freshDatabase
    const [one, two] = yield* Effect.all([spawnServer(database), spawnServer(database)], { concurrency: 2 })
    const libraryId = LibraryId.make(randomName())
    const token = yield* mintToken(libraryId)
    const [held, other] = [randomName(), randomName()]
    for (const documentId of [held, other]) yield* begin(one.url, documentId, token)
    const connect = (url: string, documentId: string) => connectRaw({ url, documentId, token })
    const readers = {
      held: [yield* connect(one.url, held), yield* connect(two.url, held)],
      other: [yield* connect(one.url, other), yield* connect(two.url, other)]
    }
    const write = (client: Connected, author: Author, docId: string, clock: number) => {
      const { publicData } = client.first["snapshot"] as { readonly publicData: { readonly snapshotId: string } }
      client.send(updateMessage(author, { docId, refSnapshotId: publicData.snapshotId, clock }))
    }
    const [early, late] = [makeAuthor(), makeAuthor()]
    yield* holdCommitsOf(early, database)
    const holding = yield* takeLock(database)

    const first = yield* connect(one.url, held)
    write(first, early, held, 0)
    yield* until("the first commit waits", isWaitedFor(database))
    // Begun later: of another stream it is visible before, and of the same one it waits.
    const [second, elsewhere] = [yield* connect(two.url, held), yield* connect(two.url, other)]
    write(elsewhere, late, other, 0)
    yield* elsewhere.next("update-saved")
    for (const reader of readers.other) yield* reader.next("update")
    write(second, late, held, 0)
    // It is stored after the log was asked to store the one before it, too.
    write(elsewhere, late, other, 1)
    yield* elsewhere.next("update-saved", ({ clock }) => clock === 1)
    for (const client of [first, second]) assert.isFalse(client.frames.some(({ type }) => type === "update-saved"))

    yield* Fiber.interrupt(holding)
    yield* first.next("update-saved")
    yield* second.next("update-saved")
    for (const [reader, authors] of [
      ...readers.held.map((reader) => [reader, [early, late]] as const),
      ...readers.other.map((reader) => [reader, [late, late]] as const)
    ]) {
      yield* until("the reader has both", () => keysOf(reader).length === authors.length)
      assert.deepStrictEqual(
        keysOf(reader),
        authors.map(({ pubKey }) => pubKey)
      )
    }
    const events = yield* Effect.flatMap(EventLog, (log) => log.read({ libraryId, streamId: held }, { after: 1 })).pipe(
      Effect.provide(layerOf(database)),
      Effect.orDie
    )
    assert.deepStrictEqual(
      events.map(({ event }) => [event.version, (event.data as { readonly pubKey: string }).pubKey]),
      [
        [2, early.pubKey],
        [3, late.pubKey]
      ]
    )
    const { exitCode, stdout } = yield* runCommand(database, "replay")
    assert.strictEqual(exitCode, 0, stdout)
  })
)
