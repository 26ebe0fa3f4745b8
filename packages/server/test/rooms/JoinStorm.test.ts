/** Many clients join at once while each call of the database takes half a second. */
import { assert, describe, it } from "@effect/vitest"
import { Array, Effect } from "effect"
import { connectRaw, openRaw } from "#test-support/clients/RawSecsync"
import { startDocument } from "#test-support/secsync/startDocument"
import { scrape } from "#test-support/servers/scrape"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { makeSlowLog, type SlowCall } from "#test-support/storage/SlowLog"
import { until } from "#test-support/until"
import { streamName } from "../../src/domain/Stream.ts"
import type { OpeningLimits } from "../../src/rooms/Openings.ts"
import { makeAuthor, updateMessage } from "../../src/testing/SealedMessages.ts"

const DELAY = 500
const CONNECTIONS = 10
const NEWCOMERS = 100
/** Places by which the order of the reads may differ from that of the clients. */
const NEIGHBOURS = 10

/** A server whose log was slow from its start, and documents that an earlier server stored. */
const start = Effect.fnUntraced(function* (documents: number, limits?: OpeningLimits) {
  const slow = yield* makeSlowLog(CONNECTIONS)
  const stored = yield* Effect.scoped(
    Effect.gen(function* () {
      const server = yield* startMemoryServer({}, slow.layer)
      return yield* Effect.all(Array.makeBy(documents, () => startDocument(server)))
    })
  )
  // No test of how fast: a machine under load may take its time.
  const server = yield* startMemoryServer(
    { metrics: { port: 0 }, limits: { handshakeTimeout: "1 minute", ...limits } },
    slow.layer
  )
  const before = slow.calls.length
  slow.delay = DELAY
  const ofDocuments = new Set(stored.map(({ key }) => streamName(key)))
  const callsOf = (operation: SlowCall["operation"]) =>
    slow.calls.slice(before).filter((call) => call.operation === operation)
  return {
    server,
    slow,
    documents: stored.map(({ key, options, refSnapshotId }) => ({
      name: streamName(key),
      options: { ...options, url: server.url },
      snapshotId: refSnapshotId
    })),
    /** The documents that were read, in the order of the reads. */
    reads: () => callsOf("tail").flatMap(({ stream = "" }) => (ofDocuments.has(stream) ? [stream] : [])),
    callsOf
  }
})

describe("a join storm on a slow database", () => {
  it.live(
    "a hundred newcomers of a hundred documents are served in the order in which they came, by one read each",
    () =>
      Effect.gen(function* () {
        const { documents, reads, callsOf } = yield* start(NEWCOMERS)
        const newcomers = yield* Effect.forEach(documents, ({ options }) => openRaw(options))
        const firsts = yield* Effect.forEach(newcomers, (newcomer) => newcomer.next("document"), {
          concurrency: "unbounded"
        })
        assert.isTrue(firsts.every(({ snapshot }) => snapshot !== undefined))
        // Tokens are checked at the same time, so neighbours may change places.
        const read = reads()
        assert.lengthOf(read, NEWCOMERS)
        for (const [i, { name }] of documents.entries()) assert.approximately(read.indexOf(name), i, NEIGHBOURS, name)
        assert.isBelow(callsOf("heads").length, NEWCOMERS)
      })
  )

  it.live("a hundred newcomers of one document share one read", () =>
    Effect.gen(function* () {
      const { documents, reads, callsOf } = yield* start(1)
      const newcomers = yield* Effect.all(
        Array.makeBy(NEWCOMERS, () => connectRaw(documents[0]!.options)),
        {
          concurrency: "unbounded"
        }
      )
      assert.isTrue(newcomers.every(({ first }) => first["snapshot"] !== undefined))
      assert.lengthOf(reads(), 1)
      // The revocations are read for all newcomers of a moment together.
      assert.isBelow(callsOf("heads").length, NEWCOMERS / 5)
    })
  )

  it.live("a client that is served is acknowledged while openings wait", () =>
    Effect.gen(function* () {
      const { documents, reads, slow } = yield* start(NEWCOMERS, { maxOpenings: 4 })
      slow.delay = 0
      const [first, ...others] = documents
      const writer = yield* connectRaw(first!.options)
      slow.delay = DELAY
      yield* Effect.forEach(others, ({ options }) => openRaw(options))
      yield* until("openings wait", () => reads().length > 1)
      writer.send(
        updateMessage(makeAuthor(), { docId: first!.options.documentId, refSnapshotId: first!.snapshotId, clock: 0 })
      )
      yield* writer.next("update-saved")
      assert.isBelow(reads().length, NEWCOMERS / 2)
    })
  )

  it.live("a newcomer above the bound is told to come back, and is served then", () =>
    Effect.gen(function* () {
      const { documents, server, slow } = yield* start(4, { maxOpenings: 1, maxWaitingOpenings: 2 })
      slow.delay = 0
      yield* slow.tails.close
      const waiting = Effect.map(scrape(server), ({ value }) => value("sealog_openings_waiting"))
      const newcomers = yield* Effect.forEach(documents.slice(0, 3), ({ options }, i) =>
        Effect.gen(function* () {
          const newcomer = yield* openRaw(options)
          yield* until(
            "it waits",
            Effect.map(waiting, (found) => found === i)
          )
          return newcomer
        })
      )
      const last = yield* openRaw(documents[3]!.options)
      assert.deepStrictEqual(yield* last.closed, { code: 1013, reason: "too many documents wait to be opened" })
      yield* slow.tails.open
      yield* Effect.forEach(newcomers, (newcomer) => newcomer.next("document"))
      yield* (yield* openRaw(documents[3]!.options)).next("document")
    })
  )
})
