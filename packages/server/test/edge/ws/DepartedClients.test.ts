/** The messages of a client who left are handled, but not for longer than a server that stops waits. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { connectVerdant, registerReplica } from "#test-support/clients/RawVerdant"
import { scrape } from "#test-support/servers/scrape"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { until } from "#test-support/until"
import { libraryOn } from "#test-support/verdant/Library"
import { initialize, makeReplica } from "#test-support/verdant/Replica"
import type { Action } from "../../../src/ports/Access.ts"

/** More messages than the server handles together. */
const MESSAGES = 300

describe("a client that left while the policy did not answer", () => {
  it.live("has its other messages dropped when the server stops", () =>
    Effect.gen(function* () {
      let asked = 0
      const allows = (_: unknown, { _tag }: Action) => {
        if (_tag !== "WriteOperation") return Effect.succeed(true)
        asked += 1
        return Effect.never
      }
      const scope = yield* Scope.make()
      const server = yield* Scope.provide(startMemoryServer({ allows, metrics: { port: 0 } }), scope)
      const library = libraryOn(server)
      const connection = yield* connectVerdant(library, yield* library.token({ userId: "ada" }))
      const replica = makeReplica()
      yield* registerReplica(connection, replica)
      for (let i = 0; i < MESSAGES; i++) connection.send(replica.op(replica.operation(`item/${i}`, initialize({}))))
      yield* until("the policy is asked", () => asked === 1)
      yield* connection.close
      yield* until(
        "the client has left",
        Effect.map(scrape(server), ({ value }) => value("sealog_connections") === 0)
      )
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(asked, 1)
    })
  )
})
