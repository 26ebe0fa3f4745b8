/** A library that was deleted for good takes nothing of its clients, and its files are gone. */
import { readdirSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { layerFileSystem } from "@sealog/server/adapters/FileSystemBlobStore"
import * as Deletion from "@sealog/server/admin/Deletion"
import { VERDANT } from "@sealog/server/domain/verdant/Events"
import { Effect, Layer } from "effect"
import { inject } from "vitest"
import { connectVerdant, post, refusedUpgrade, registerReplica } from "../support/clients/RawVerdant.ts"
import { runCommand } from "../support/servers/ServerProcess.ts"
import { startServer } from "../support/servers/TestServer.ts"
import { layerOf } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { makeReplica } from "../support/verdant/Replica.ts"
import { freshDirectory } from "../support/verdant/shards.ts"
import { contents, openClient, openClients, untilSame } from "../support/verdant/VerdantClient.ts"

describe("deletion for good", () => {
  it.live("clients of a deleted library keep their data, and bring nothing back until it is allowed", () =>
    Effect.gen(function* () {
      const directory = yield* freshDirectory
      const blobs = Layer.orDie(layerFileSystem({ directory }))
      const server = yield* startServer({ blobs })
      // Postgres has several processes; the other one hears of the deletion by a signal.
      const other = inject("storage") !== "SQLite" ? yield* startServer({ blobs, database: server.database }) : server
      const library = libraryOn(server)
      const elsewhere = { ...libraryOn(other), id: library.id }
      const [a, b] = yield* openClients(["a", "b"], { library })
      yield* a.put({ content: "from a", image: new File(["a picture"], "picture.txt", { type: "text/plain" }) })
      yield* b.put({ content: "from b" })
      yield* untilSame([a, b])
      yield* until("the file is stored", () => filesIn(directory).length === 1)
      const raw = yield* connectVerdant(elsewhere, yield* server.token(library.id))
      yield* registerReplica(raw, makeReplica())

      const remove = Deletion.deleteForGood({ libraryId: library.id })
      const deleted = yield* remove.pipe(Effect.provide([layerOf(server.database), blobs]), Effect.orDie)
      assert.deepStrictEqual(
        deleted.map(({ documentId, files }) => [documentId, files]),
        [[VERDANT, 1]]
      )
      assert.strictEqual((yield* raw.closed).code, 4404)
      assert.deepStrictEqual(filesIn(directory), [])
      const token = yield* server.token(library.id)
      assert.strictEqual(yield* refusedUpgrade(library, ["Bearer", token]), 403)
      const poll = yield* post(library, yield* server.token(library.id, { type: "push" }), [makeReplica().sync({})])
      assert.strictEqual(poll.status, 403)
      yield* a.put({ content: "from a, afterwards" })
      const replayed = yield* runCommand(server.database, "replay", "--library", library.id)
      assert.strictEqual(JSON.parse(replayed.stdout).problemCount, 0, replayed.stdout)
      assert.isFalse(replayed.stdout.includes("OperationsStored"))

      yield* Deletion.allowAgain({ libraryId: library.id }).pipe(Effect.provide(layerOf(server.database)), Effect.orDie)
      const late = yield* openClient({ library, user: "late" })
      yield* late.put({ content: "new" })
      yield* late.until("it goes on", (items) => contents(items).includes("new"))
      const again = yield* runCommand(server.database, "replay", "--library", library.id)
      assert.strictEqual(JSON.parse(again.stdout).problemCount, 0, again.stdout)
    })
  )
})

const filesIn = (directory: string) =>
  readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((name) => /^[^.].*[/]/.test(name))
