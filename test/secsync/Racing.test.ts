/**
 * Clients that say everything in snapshots, at the same time. Of a refused snapshot, a client keeps what it said and says
 * it once more after the next one is saved: two of them could refuse each other's second snapshot for ever.
 */
import { assert, describe, it } from "@effect/vitest"
import { LibraryId } from "@sealog/server/domain/Ids"
import { Array, Effect } from "effect"
import { connectClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { assertSame } from "../support/secsync/writeTogether.ts"
import { randomName, startServer } from "../support/servers/TestServer.ts"

const ROUNDS = 10

describe("snapshots that race", () => {
  for (const count of [2, 4]) {
    it.live(`of ${count} clients come to an end`, () =>
      Effect.gen(function* () {
        const server = yield* startServer()
        const library = randomName()
        const documentId = randomName()
        const options = { url: server.url, documentId, token: yield* server.token(library), snapshotEvery: 0 }
        const clients = yield* Effect.all(Array.makeBy(count, () => connectClient(options)))
        const [first] = clients
        first!.write("first")
        yield* untilAll(clients, "all have loaded", (client) => client.isSettled() && client.list().length === 1)
        let items = 1
        for (const round of Array.range(1, ROUNDS)) {
          const before = first!.activeSnapshotId()
          for (const client of clients) client.write(`round ${round}`)
          // The others' snapshots were refused by now.
          yield* first!.until("a snapshot is there", () => first!.activeSnapshotId() !== before)
          first!.write(`late in round ${round}`)
          items += clients.length + 1
          yield* untilAll(
            clients,
            `round ${round} is over`,
            (client) => client.isSettledOnActive() && client.list().length === items
          )
        }
        assertSame(clients)
        const { head } = yield* server.log.tail({ libraryId: LibraryId.make(library), streamId: documentId })
        // Each client's, twice where it was refused, and a few that were stale when they came.
        assert.isBelow(head.version, ROUNDS * (count + 1) * 4)
      })
    )
  }
})
