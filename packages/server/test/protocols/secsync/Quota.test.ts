/** A Secsync document that reaches its quota, on a running server. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { connectRaw, type RawSecsync } from "#test-support/clients/RawSecsync"
import { startDocument } from "#test-support/secsync/startDocument"
import { scrape } from "#test-support/servers/scrape"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { until } from "#test-support/until"
import { layerMemory } from "../../../src/adapters/MemoryEventLog.ts"
import { setQuota } from "../../../src/admin/LibraryQuota.ts"
import { LibraryId } from "../../../src/domain/Ids.ts"
import type { QuotaChange } from "../../../src/domain/Quota.ts"
import { EventLog } from "../../../src/ports/EventLog.ts"
import { Signals } from "../../../src/ports/Signals.ts"
import { makeAuthor, snapshotMessage, updateMessage } from "../../../src/testing/SealedMessages.ts"

/** Bytes whose base64 has that many kilobytes. */
const sized = (kilobytes: number) => kilobytes * 750

describe("a Secsync document that has as many bytes as its quota", () => {
  it.live("takes a snapshot that replaces them, refuses one that is larger, and is read as before", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer({ quota: { documentBytes: 20_000 } })
      const { author, client, docId, options, refSnapshotId, snapshot } = yield* startDocument(server)
      const update = (clock: number, kilobytes: number, ref = refSnapshotId) =>
        updateMessage(author, { docId, refSnapshotId: ref, clock, ciphertext: sized(kilobytes) })
      client.send(update(0, 12))
      yield* client.next("update-saved")
      client.send(update(1, 12))
      const refused = yield* client.next("update-save-failed")
      assert.deepStrictEqual([refused["clock"], refused["requiresNewSnapshot"]], [1, true])

      const clocks = { [author.pubKey]: 0 }
      client.send(snapshotMessage(author, { docId, parent: snapshot, clocks, ciphertext: sized(30) }))
      assert.deepStrictEqual(yield* client.next("snapshot-save-failed"), { type: "snapshot-save-failed" })
      const reader = yield* connectRaw(options)
      assert.lengthOf(reader.first["updates"] as ReadonlyArray<unknown>, 1)

      const next = snapshotMessage(author, { docId, parent: snapshot, clocks, ciphertext: sized(6) })
      client.send(next)
      yield* client.next("snapshot-saved")
      client.send(update(0, 6, next.publicData.snapshotId))
      yield* client.next("update-saved")
    })
  )

  it.live("asks a further author for a snapshot", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer({ quota: { documentAuthors: 1 } })
      const { author, client, docId, options, refSnapshotId } = yield* startDocument(server)
      client.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
      yield* client.next("update-saved")
      const other = yield* connectRaw(options)
      other.send(updateMessage(makeAuthor(), { docId, refSnapshotId, clock: 0 }))
      assert.isTrue((yield* other.next("update-save-failed"))["requiresNewSnapshot"])
    })
  )
})

describe("a library that has as many events as its quota", () => {
  it.live(
    "takes no further message, is read as before, and goes on once the quota is raised, also after it was closed",
    () =>
      Effect.gen(function* () {
        const log = Context.get(yield* Layer.build(Layer.fresh(layerMemory)), EventLog)
        const start = startMemoryServer({ metrics: { port: 0 }, quota: { events: 20 } }, Layer.succeed(EventLog, log))
        const answer = (client: RawSecsync) =>
          Effect.raceFirst(
            Effect.as(client.next("update-saved"), "saved"),
            Effect.map(client.next("update-save-failed"), (refused) =>
              refused["requiresNewSnapshot"] ? "due" : "failed"
            )
          )
        /** Sends updates until one is refused, or that many are saved. Returns how many are. */
        const fill = Effect.fnUntraced(function* (
          client: RawSecsync,
          update: (clock: number) => object,
          from: number,
          most: number
        ) {
          for (let clock = from; clock < most; clock++) {
            client.send(update(clock))
            if ((yield* answer(client)) !== "saved") return clock
          }
          return most
        })
        const begun = yield* Effect.scoped(
          Effect.gen(function* () {
            const server = yield* start
            const { author, client, docId, refSnapshotId, snapshot } = yield* startDocument(server)
            const update = (clock: number) => updateMessage(author, { docId, refSnapshotId, clock })
            const saved = yield* fill(client, update, 0, 1000)
            const clocks = { [author.pubKey]: saved - 1 }
            client.send(snapshotMessage(author, { docId, parent: snapshot, clocks }))
            yield* client.next("snapshot-save-failed")
            const { value } = yield* scrape(server)
            assert.strictEqual(value("sealog_documents_near_quota", { part: "events" }), 1)
            assert.strictEqual(value("sealog_documents_near_quota", { part: "documentBytes" }), 0)
            return { docId, saved, update }
          })
        )
        assert.isAtLeast(begun.saved, 17)
        const stream = (yield* log.streams({ limit: 10, payloads: false })).find(
          ({ key }) => key.streamId === begun.docId
        )
        const { libraryId } = stream!.key
        /** Sends updates to a server that has just started, until it refuses one or has saved that many. */
        const goOn = Effect.fnUntraced(function* (from: number, most: number) {
          const server = yield* start
          const token = yield* server.token(libraryId)
          const client = yield* connectRaw({ url: server.url, documentId: begun.docId, token })
          assert.lengthOf(client.first["updates"] as ReadonlyArray<unknown>, from)
          return yield* fill(client, begun.update, from, most)
        }, Effect.scoped)
        const saved = yield* goOn(begun.saved, 1000)
        yield* setQuota(libraryId, { events: 1000 }).pipe(
          Effect.provide([Layer.succeed(EventLog, log), Signals.layerNone])
        )
        assert.strictEqual(yield* goOn(saved, saved + 10), saved + 10)
      })
  )
})

describe("a quota that the app sets", () => {
  it.live("goes before the server's and behind the operator's, and holds for its library alone", () =>
    Effect.gen(function* () {
      const log = Context.get(yield* Layer.build(Layer.fresh(layerMemory)), EventLog)
      const plans = new Map<string, QuotaChange>([
        ["small", { documents: 0 }],
        ["raised", { documents: 0 }]
      ])
      const raised = LibraryId.make("raised")
      yield* setQuota(raised, { documents: 1 }).pipe(Effect.provide([Layer.succeed(EventLog, log), Signals.layerNone]))
      const options = { quota: { documents: 2 }, quotaOf: (libraryId: LibraryId) => plans.get(libraryId) }
      const server = yield* startMemoryServer(options, Layer.succeed(EventLog, log))
      const answerIn = Effect.fnUntraced(function* (libraryId: string) {
        const docId = crypto.randomUUID()
        const client = yield* connectRaw({ url: server.url, documentId: docId, token: yield* server.token(libraryId) })
        client.send(snapshotMessage(makeAuthor(), { docId }))
        return yield* Effect.raceFirst(
          Effect.as(client.next("snapshot-saved"), "taken"),
          Effect.as(client.next("snapshot-save-failed"), "refused")
        )
      })
      assert.strictEqual(yield* answerIn("small"), "refused")
      assert.deepStrictEqual([yield* answerIn("raised"), yield* answerIn("raised")], ["taken", "refused"])
      assert.strictEqual(yield* answerIn("other"), "taken")
      plans.set("small", { documents: 1 })
      yield* until(
        "the new plan holds",
        Effect.map(answerIn("small"), (answer) => answer === "taken")
      )
    })
  )
})

describe("a library that has as many Secsync documents as its quota", () => {
  it.live("refuses the first snapshot of another one, and goes on with those that it has", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer({ quota: { documents: 2 } })
      const token = yield* server.token("notes")
      const open = Effect.fnUntraced(function* () {
        const author = makeAuthor()
        const docId = crypto.randomUUID()
        const client = yield* connectRaw({ url: server.url, documentId: docId, token })
        const snapshot = snapshotMessage(author, { docId })
        client.send(snapshot)
        return { author, client, docId, snapshot }
      })
      const { author, client, docId, snapshot } = yield* open()
      yield* client.next("snapshot-saved")
      const [second, third] = [yield* open(), yield* open()]
      yield* second.client.next("snapshot-saved")
      assert.deepStrictEqual(yield* third.client.next("snapshot-save-failed"), { type: "snapshot-save-failed" })
      client.send(updateMessage(author, { docId, refSnapshotId: snapshot.publicData.snapshotId, clock: 0 }))
      yield* client.next("update-saved")
      client.send(snapshotMessage(author, { docId, parent: snapshot, clocks: { [author.pubKey]: 0 } }))
      yield* client.next("snapshot-saved")
    })
  )
})
