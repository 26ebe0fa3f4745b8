/** Frames become spans of one trace in all server processes, which a collector receives over HTTP. */
import { assert, describe, it } from "@effect/vitest"
import { makeAuthor, snapshotMessage, updateMessage } from "@sealog/server/testing"
import { Effect } from "effect"
import { connectRaw } from "../support/clients/RawSecsync.ts"
import { type ReceivedSpan, startCollector } from "../support/servers/Collector.ts"
import { mintToken, runCommand, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { freshStorage } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { openClient } from "../support/verdant/VerdantClient.ts"

/** Two servers on one database that trace a part of the frames, and a document with its author on the first one. */
const start = Effect.fnUntraced(function* (ratio: string) {
  const [collector, database] = [yield* startCollector, yield* freshStorage]
  const options = { args: ["--trace-ratio", ratio], variables: collector.variables }
  const servers = yield* Effect.all([spawnServer(database, options), spawnServer(database, options)], {
    concurrency: 2
  })
  const [libraryId, documentId, author] = [randomName(), randomName(), makeAuthor()]
  const token = yield* mintToken(libraryId)
  const [writer, reader] = yield* Effect.forEach(servers, ({ url }) => connectRaw({ url, documentId, token }))
  const snapshot = snapshotMessage(author, { docId: documentId })
  writer!.send(snapshot)
  yield* writer!.next("snapshot-saved")
  const { snapshotId: refSnapshotId } = snapshot.publicData
  const update = Effect.fnUntraced(function* (clock: number) {
    writer!.send(updateMessage(author, { docId: documentId, refSnapshotId, clock }))
    yield* writer!.next("update-saved", (frame) => frame.clock === clock)
    yield* reader!.next("update", ({ publicData }) => (publicData as { readonly clock: number }).clock === clock)
  })
  return { collector, database, documentId, libraryId, servers, update }
})

const named = (spans: ReadonlyArray<ReceivedSpan>, name: string) => spans.filter((span) => span.name === name)

describe("traces of two processes", () => {
  it.live("hold the way of an update in both, by ids that the log knows", () =>
    Effect.gen(function* () {
      const { collector, database, documentId, libraryId, update } = yield* start("1")
      yield* update(0)
      const updateTrace = () =>
        named(collector.spans, "frame").find(({ attributes }) => attributes["sealog.type"] === "UpdateStored")?.traceId
      const ofUpdate = () => collector.spans.filter(({ traceId }) => traceId === updateTrace())
      yield* until(
        "both processes have sent the update's spans",
        () => named(ofUpdate(), "fan out").length === 2,
        () => collector.spans.map(({ name }) => name)
      )
      const [root] = named(ofUpdate(), "frame")
      assert.deepInclude(root?.attributes, {
        "sealog.library": libraryId,
        "sealog.stream": documentId,
        "sealog.version": 2
      })
      assert.isUndefined(root?.parentSpanId)
      const own = ofUpdate().filter(({ instance, parentSpanId }) => instance === root?.instance && parentSpanId)
      assert.deepStrictEqual(
        own.toSorted((a, b) => Number(a.start - b.start)).map(({ name }) => name),
        ["verify", "decide", "wait for commit", "commit", "fan out"]
      )
      for (const { end, start } of own) assert.isTrue(root!.start <= start && start <= end && end <= root!.end)
      const others = ofUpdate().filter(({ instance }) => instance !== root?.instance)
      assert.deepStrictEqual(
        others.map(({ attributes, name, parentSpanId }) => [name, parentSpanId, attributes["sealog.sessions"]]),
        [["fan out", root!.spanId, 1]]
      )
      const { stdout } = yield* runCommand(database, "document", "show", libraryId, documentId)
      const chain: string = JSON.parse(stdout).chain
      assert.strictEqual(Buffer.from(chain, "base64url").toString("hex").slice(0, 32), root?.traceId)
    })
  )

  it.live("hold the way of a Verdant change in both, which is not signed", () =>
    Effect.gen(function* () {
      const { collector, servers } = yield* start("1")
      const libraryId = randomName()
      const [a, b] = yield* Effect.forEach(servers, (server, i) =>
        openClient({ library: libraryOn(server, libraryId), user: `user ${i}` })
      )
      yield* a!.put({ content: "traced" })
      yield* b!.until("it has the document", (found) => found.length === 1)
      const ofChange = () => {
        const root = named(collector.spans, "frame").find(
          ({ attributes }) => attributes["sealog.type"] === "OperationsStored"
        )
        return { root, spans: collector.spans.filter(({ traceId }) => traceId === root?.traceId) }
      }
      yield* until("both processes have sent its spans", () => named(ofChange().spans, "fan out").length === 2)
      const { root, spans } = ofChange()
      assert.deepInclude(root?.attributes, { "sealog.library": libraryId, "sealog.stream": "@verdant" })
      const [own, others] = [true, false].map((isOwn) =>
        spans.filter(({ instance, parentSpanId }) => parentSpanId && (instance === root?.instance) === isOwn)
      )
      assert.deepStrictEqual(
        own!.toSorted((a, b) => Number(a.start - b.start)).map(({ name }) => name),
        ["decide", "wait for commit", "commit", "fan out"]
      )
      assert.deepStrictEqual(
        others!.map(({ name, parentSpanId }) => [name, parentSpanId]),
        [["fan out", root!.spanId]]
      )
    })
  )

  it.live("are of the same part of the updates in both", () =>
    Effect.gen(function* () {
      const { collector, servers, update } = yield* start("0.5")
      for (let clock = 0; clock < 40; clock++) yield* update(clock)
      // A server sends what it has before it ends.
      yield* Effect.forEach(servers, ({ stop }) => stop)
      const roots = named(collector.spans, "frame")
      assert.isAbove(roots.length, 5)
      assert.isBelow(roots.length, 38)
      const updates = roots.filter(({ attributes }) => attributes["sealog.type"] === "UpdateStored")
      const instance = roots[0]?.instance
      const others = named(collector.spans, "fan out").filter((span) => span.instance !== instance)
      const heardUpdates = others.filter(({ attributes }) => attributes["sealog.type"] === "UpdateStored")
      assert.sameMembers(
        heardUpdates.map(({ parentSpanId }) => parentSpanId),
        updates.map(({ spanId }) => spanId)
      )
    })
  )
})
