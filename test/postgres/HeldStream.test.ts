/** Another writer holds one document's stream: a frozen process, or an operator's open transaction. */
import { assert, describe, it } from "@effect/vitest"
import { LibraryId } from "@sealog/server/domain/Ids"
import { PgStorage } from "@sealog/storage-pg"
import { Deferred, Effect, Fiber } from "effect"
import { SqlClient } from "effect/sql"
import { assertStored, begin, makeWriter, writeOn } from "../support/secsync/Writers.ts"
import { randomName, startServer } from "../support/servers/TestServer.ts"
import { freshStorage } from "../support/storage/databases.ts"

describe("a held stream", () => {
  it.live("delays its own document alone, whose writer goes on once the stream is free", () =>
    Effect.gen(function* () {
      const database = yield* freshStorage
      const server = yield* startServer({ database })
      const libraryId = LibraryId.make(randomName())
      const token = yield* server.token(libraryId)
      const writers = ["held", "free"].map(makeWriter)
      for (const { documentId } of writers) yield* begin(server.url, documentId, token)

      const isHeld = yield* Deferred.make<void>()
      const holding = yield* Effect.flatMap(SqlClient.SqlClient, (sql) =>
        sql`SELECT FROM sealog.streams WHERE library_id = ${libraryId} AND stream_id = 'held' FOR UPDATE`.pipe(
          Effect.andThen(Deferred.succeed(isHeld, undefined)),
          Effect.andThen(Effect.never),
          sql.withTransaction
        )
      ).pipe(Effect.provide(PgStorage.layerClient({ url: database })), Effect.forkChild)
      yield* Deferred.await(isHeld)

      yield* Effect.scoped(
        Effect.gen(function* () {
          const [held, free] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
          yield* writeOn(server.url, writers[0]!, token, () => Deferred.doneUnsafe(held, Effect.void))
          yield* writeOn(server.url, writers[1]!, token, () => {
            if (writers[1]!.acknowledged === 100) Deferred.doneUnsafe(free, Effect.void)
          })
          yield* Deferred.await(free)
          assert.strictEqual(writers[0]!.acknowledged, 0)
          yield* Fiber.interrupt(holding)
          yield* Deferred.await(held)
        })
      )
      yield* assertStored(database, libraryId, writers, "after the stream was free")
    })
  )
})
