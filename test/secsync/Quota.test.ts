/** Real clients of a document that reaches its quota of bytes: they replace its snapshot, and lose or repeat nothing. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { writeItems } from "../support/secsync/writeItems.ts"
import { randomName, startServer } from "../support/servers/TestServer.ts"

it.live("clients of a document whose updates reach its quota go on with a snapshot", () =>
  Effect.gen(function* () {
    const server = yield* startServer({ quota: { documentBytes: 20_000 } })
    const [documentId, libraryId] = [randomName(), randomName()]
    const options = { url: server.url, documentId, token: yield* server.token(libraryId) }
    yield* writeItems(2, options)
    const events = yield* server.log.read({ libraryId: libraryId as never, streamId: documentId }, { after: 0 })
    assert.isAbove(events.filter(({ event }) => event.checkpoint).length, 1)
  })
)
