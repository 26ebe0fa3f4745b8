/**
 * Clients that send all changes as snapshots, at the same time. A client keeps the changes of a refused snapshot, and sends
 * them again after the next one is saved. Two such clients could invalidate each other's second snapshot for ever.
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
    it.live(`${count} clients that race with snapshots converge`, () =>
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
          // By now the server has refused the snapshots of the others.
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
        // One snapshot for each change, a second one after a refusal, and a few that were stale on arrival.
        assert.isBelow(head.version, ROUNDS * (count + 1) * 4)
      })
    )
  }
})
