/**
 * JSON of a few megabytes can take a gigabyte once it is parsed: a frame of 32 MiB of empty objects took 750 MB and several
 * seconds, which can end the process. A text with more values than clients ever send is not parsed.
 */
import { execFileSync } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fc from "fast-check"
import { WebSocket } from "ws"
import { connectRaw } from "#test-support/clients/RawSecsync"
import { ask, bearer } from "#test-support/network/uploads"
import { startDocument } from "#test-support/secsync/startDocument"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { hasFewValues, MOST_BYTES_OF_CHARACTER, parsedBytesOf } from "../../src/protocols/JsonBudget.ts"
import { MAX_VALUES as MAX_SECSYNC_VALUES } from "../../src/protocols/secsync/Wire.ts"
import { MAX_PARSED, MAX_PARSED_READ_ONLY } from "../../src/protocols/verdant/Wire.ts"
import { ephemeralMessage } from "../../src/testing/SealedMessages.ts"

const zeros = (count: number): ReadonlyArray<number> => Array.from({ length: count }, () => 0)

/** The commas and opening brackets of a value's JSON: one per object or array, and one per field or item but the first. */
const count = (value: unknown): number => {
  if (typeof value !== "object" || value === null) return 0
  const fields = Object.values(value)
  return 1 + Math.max(0, fields.length - 1) + fields.reduce<number>((sum, field) => sum + count(field), 0)
}

/** A message with so many zeros takes so many bytes by the estimate. */
const zerosOf = (bytes: number): number => Math.floor(bytes / parsedBytesOf(",0", Number.POSITIVE_INFINITY))
/** The zeros of a message that is as good as empty. */
const MARGIN = 100

/** Texts of which each, parsed, takes much memory for its length, as JavaScript. */
const SHAPES = [
  "{}",
  "[]",
  "[[[[]]]]",
  "1",
  '"" + i + ""',
  '"text " + i',
  "{ a: i, b: true }",
  "{ ['f' + i]: 1 }",
  "{ ['a' + i]: { ['b' + i]: { ['c' + i]: {} } } }",
  "{ [i]: 1 }",
  "{ 9999: { 9999: { 9999: { 9999: {} } } } }",
  "{ a: 1, [i + 1000000]: 1 }",
  "Object.fromEntries(Array.from({ length: 12 }, (_, k) => ['k' + i + '_' + k, k]))"
]
const SHAPE_COUNT = 20_000

describe("the estimate of the memory of parsed JSON", () => {
  it.each(SHAPES)("is not below what it takes: %s", (shape) => {
    const script = `const text = JSON.stringify(Array.from({ length: ${SHAPE_COUNT} }, (_, i) => (${shape})))
      gc()
      const before = process.memoryUsage().heapUsed
      globalThis.parsed = JSON.parse(text)
      gc()
      console.log(JSON.stringify({ bytes: process.memoryUsage().heapUsed - before, text }))`
    const output = execFileSync(process.execPath, ["--expose-gc", "-e", script], { maxBuffer: 100_000_000 })
    const { bytes, text } = JSON.parse(output.toString())
    assert.isAtLeast(parsedBytesOf(text, Number.POSITIVE_INFINITY), bytes)
  })

  it("is no more for any text than for as many of its most expensive characters", () => {
    for (const piece of ['{"9":', "[", "{}", ",{}", ',{"9":', ',"9":']) {
      const text = piece.repeat(1000)
      assert.isAtMost(parsedBytesOf(text, Number.POSITIVE_INFINITY), text.length * MOST_BYTES_OF_CHARACTER)
    }
  })

  it("stops soon above the limit", () => {
    const text = JSON.stringify(zeros(1_000_000))
    assert.isAbove(parsedBytesOf(text, 1000), 1000)
    assert.isBelow(parsedBytesOf(text, 1000), 2000 + text.length)
  })
})

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
    ["may write", "realtime", zerosOf(MAX_PARSED)],
    ["may only read", "read-only", zerosOf(MAX_PARSED_READ_ONLY)]
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
        assert.strictEqual(yield* send(max - MARGIN), "heartbeat-response")
        assert.strictEqual(yield* send(max + MARGIN), 1008)
        assert.deepStrictEqual((yield* poll(max - MARGIN)).json, { messages: [] })
        assert.deepStrictEqual((yield* poll(max + MARGIN)).json, { code: 4000 })
      })
  )
})
