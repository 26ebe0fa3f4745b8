/**
 * JSON of a few megabytes can take a gigabyte once it is parsed: a frame of 32 MiB of empty objects took 750 MB and several
 * seconds, which can end the process. A text with more values than clients ever send is not parsed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fc from "fast-check"
import { WebSocket } from "ws"
import { connectRaw } from "#test-support/clients/RawSecsync"
import { ask, bearer } from "#test-support/network/uploads"
import { startDocument } from "#test-support/secsync/startDocument"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { hasFewValues } from "../../src/protocols/JsonBudget.ts"
import { MAX_VALUES as MAX_SECSYNC_VALUES } from "../../src/protocols/secsync/Wire.ts"
import {
  MAX_VALUES as MAX_VERDANT_VALUES,
  MAX_VALUES_READ_ONLY as MAX_VERDANT_VALUES_READ_ONLY
} from "../../src/protocols/verdant/Wire.ts"
import { ephemeralMessage } from "../../src/testing/SealedMessages.ts"

const zeros = (count: number): ReadonlyArray<number> => Array.from({ length: count }, () => 0)

/** The commas and opening brackets of a value's JSON: one per object or array, and one per field or item but the first. */
const count = (value: unknown): number => {
  if (typeof value !== "object" || value === null) return 0
  const fields = Object.values(value)
  return 1 + Math.max(0, fields.length - 1) + fields.reduce<number>((sum, field) => sum + count(field), 0)
}

describe("JSON of very many values", () => {
  it("is recognised by its commas and brackets outside of strings", () => {
    const value = fc.jsonValue({ maxDepth: 5 })
    fc.assert(
      fc.property(value, fc.boolean(), (value, isPretty) => {
        const text = JSON.stringify(value, null, isPretty ? 1 : 0)
        const values = count(value)
        assert.isTrue(hasFewValues(text, values))
        if (values > 0) assert.isFalse(hasFewValues(text, values - 1))
      })
    )
    assert.isTrue(hasFewValues(JSON.stringify({ a: `,{[\\",[{\\\\"`, b: '\\"' }), 2))
    // Not JSON: the parser refuses it.
    assert.isTrue(hasFewValues('"never ended, [[[[', 1))
    assert.isTrue(hasFewValues('"', 0))
  })

  it.live("of a Secsync client closes its connection with 1008", () =>
    Effect.gen(function* () {
      const { author, client, docId, options } = yield* startDocument(yield* startMemoryServer())
      const attacker = yield* connectRaw(options)
      const withValues = (count: number) => ephemeralMessage(author, { docId, additional: { zeros: zeros(count) } })
      attacker.send(withValues(MAX_SECSYNC_VALUES - 100))
      yield* client.next("ephemeral-message")
      attacker.send(withValues(MAX_SECSYNC_VALUES))
      assert.strictEqual((yield* attacker.closed).code, 1008)
      assert.isTrue(client.isOpen())
    })
  )

  it.live.each([
    ["may write", "realtime", MAX_VERDANT_VALUES],
    ["may only read", "read-only", MAX_VERDANT_VALUES_READ_ONLY]
  ] as const)(
    "of a Verdant client that %s closes its connection with 1008, or its poll is answered 4000",
    ([, type, max]) =>
      Effect.gen(function* () {
        const server = yield* startMemoryServer()
        const token = yield* server.token("notes", { type })
        const send = (count: number) =>
          Effect.acquireUseRelease(
            Effect.sync(() => new WebSocket(`${server.url}/verdant`, { headers: bearer(token) })),
            (socket) =>
              Effect.callback<string | number>((resume) => {
                socket.on("open", () => {
                  socket.send(JSON.stringify({ type: "unknown", zeros: zeros(count) }))
                  socket.send('{"type":"heartbeat"}')
                })
                socket.on("message", (data) => resume(Effect.succeed(JSON.parse(String(data)).type)))
                socket.on("close", (code) => resume(Effect.succeed(code)))
              }),
            (socket) => Effect.sync(() => socket.terminate())
          )
        const poll = (count: number) =>
          ask(`http://127.0.0.1:${server.port}/verdant`, {
            method: "POST",
            headers: { ...bearer(token), "content-type": "application/json" },
            body: JSON.stringify({ messages: [{ type: "unknown", zeros: zeros(count) }] })
          })
        assert.strictEqual(yield* send(max - 100), "heartbeat-response")
        assert.strictEqual(yield* send(max), 1008)
        assert.deepStrictEqual((yield* poll(max - 100)).json, { messages: [] })
        assert.deepStrictEqual((yield* poll(max)).json, { code: 4000 })
      })
  )
})
