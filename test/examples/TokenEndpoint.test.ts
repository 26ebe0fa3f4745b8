/** The backend of docs/tokens.md, and a server with the same secret. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { post, syncResponse } from "../support/clients/RawVerdant.ts"
import { startExample } from "../support/servers/ExampleProcess.ts"
import { startMemoryServer } from "../support/servers/TestServer.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { makeReplica } from "../support/verdant/Replica.ts"

it.live("the example's backend gives members a token that a server takes, and nobody else", () =>
  Effect.gen(function* () {
    const backend = yield* startExample("examples/token-endpoint.ts")
    const ask = (library: string, cookie = "session=of-ada") =>
      Effect.promise(() => fetch(`${backend.url}/?library=${library}`, { headers: { cookie } }))
    assert.strictEqual((yield* ask("notes", "session=unknown")).status, 403)
    assert.strictEqual((yield* ask("another")).status, 403)
    const answer = yield* ask("notes")
    const { accessToken } = yield* Effect.promise(() => answer.json())

    const server = yield* startMemoryServer()
    const sync = makeReplica().sync()
    const { messages, status } = yield* post(libraryOn(server, "notes"), accessToken, [sync])
    assert.strictEqual(status, 200)
    assert.isDefined(syncResponse({ messages }))
    assert.strictEqual(yield* backend.stop, 0)
  })
)
