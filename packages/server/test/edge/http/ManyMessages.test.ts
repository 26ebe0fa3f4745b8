/** A poll request has a bound on its messages, far above what clients send. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ask, bearer } from "#test-support/network/uploads"
import { startMemoryServer } from "#test-support/servers/TestServer"

describe("a poll request", () => {
  it.live("is answered with 10,000 messages and refused with 10,001", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer()
      const token = yield* server.token("notes")
      const send = (count: number) =>
        ask(`http://127.0.0.1:${server.port}/verdant`, {
          method: "POST",
          headers: { ...bearer(token), "content-type": "application/json" },
          body: JSON.stringify({ messages: Array.from({ length: count }, () => ({ type: "nothing" })) })
        })
      assert.deepStrictEqual((yield* send(10_000)).json, { messages: [] })
      assert.deepStrictEqual((yield* send(10_001)).json, { code: 4000 })
    })
  )
})
