/** A copy of the database of one moment, taken while clients write. */
import { assert, it } from "@effect/vitest"
import { LibraryId } from "@sealog/server/domain/Ids"
import { Array, Effect } from "effect"
import { assertStored, begin, makeWriter, writeOn } from "../support/secsync/Writers.ts"
import { mintToken, runCommand, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { keepRows } from "../support/storage/backups.ts"
import { freshStorage } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"

it.live(
  "a copy that is taken under load is the log of a moment: it holds all that was acknowledged before, and replays",
  () =>
    Effect.gen(function* () {
      const database = yield* freshStorage
      const libraryId = LibraryId.make(randomName())
      const token = yield* mintToken(libraryId)
      const documents = [randomName(), randomName()]
      const writers = [...documents, ...documents].map(makeWriter)
      const acknowledged = () => writers.map((writer) => writer.acknowledged)
      const isWell = (least: ReadonlyArray<number>) => () =>
        writers.every((writer, i) => writer.acknowledged >= least[i]!)
      const { before, putBack } = yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* spawnServer(database)
          for (const documentId of documents) yield* begin(server.url, documentId, token)
          yield* Effect.forEach(writers, (writer) => writeOn(server.url, writer, token))
          yield* until("all write", isWell(Array.makeBy(writers.length, () => 50)))
          const before = acknowledged()
          const putBack = yield* keepRows(database)
          yield* until("all go on", isWell(acknowledged().map((count) => count + 50)))
          yield* server.stop
          return { before, putBack }
        })
      )
      yield* putBack
      const after = acknowledged()
      for (const [i, writer] of writers.entries()) writer.acknowledged = before[i]!
      yield* assertStored(database, libraryId, writers, "the copy")
      const { exitCode, stderr, stdout } = yield* runCommand(database, "replay")
      assert.strictEqual(exitCode, 0, stdout + stderr)
      assert.isTrue(after.some((count, i) => count > before[i]!))
    })
)
