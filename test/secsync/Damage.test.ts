/** Bytes of a database that change under a running server: what they belong to is not served, and all else goes on. */
import { assert, describe, it } from "@effect/vitest"
import { updateMessage } from "@sealog/server/testing"
import { Effect, Logger } from "effect"
import { inject } from "vitest"
import { connectRaw, openRaw } from "../support/clients/RawSecsync.ts"
import { ask } from "../support/network/uploads.ts"
import { connectClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { startDocument } from "../support/secsync/startDocument.ts"
import { runCommand } from "../support/servers/ServerProcess.ts"
import { scrape, untilRisen } from "../support/servers/scrape.ts"
import { randomName, startServer } from "../support/servers/TestServer.ts"
import { changePayload, zeroPage } from "../support/storage/damage.ts"
import { until } from "../support/until.ts"

/** The errors that a program logs. */
const collectErrors = () => {
  const errors: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    if (logLevel === "Error") errors.push(String(Array.isArray(message) ? message[0] : message))
  })
  return { errors, layer: Logger.layer([logger]) }
}

/** Runs `doctor`, and returns the details and the advice of its failed checks of this kind. */
const failuresOf = Effect.fnUntraced(function* (database: string, check: string) {
  const { stdout } = yield* runCommand(database, "doctor", "--port", "1")
  const { findings } = JSON.parse(stdout) as {
    readonly findings: ReadonlyArray<{ check: string; state: string; detail: string; tryThis?: string }>
  }
  return findings.filter((finding) => finding.check === check && finding.state === "fail")
})

describe("a payload that was changed under a running server", () => {
  const { errors, layer } = collectErrors()
  it.live("is served to nobody, is named, and leaves other documents and the server's readiness alone", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ metrics: { port: 0 } })
      const [damaged, intact] = [yield* startDocument(server), yield* startDocument(server)]
      const write = Effect.fnUntraced(function* (
        { author, client, docId, refSnapshotId }: typeof damaged,
        clock: number
      ) {
        client.send(updateMessage(author, { docId, refSnapshotId, clock }))
        yield* client.next("update-saved")
      })
      for (const clock of [0, 1, 2]) yield* write(damaged, clock)
      yield* changePayload(server.database, damaged.key, 3)

      const newcomer = yield* openRaw(damaged.options)
      assert.deepStrictEqual(yield* newcomer.closed, { code: 1011, reason: "the log is damaged" })
      assert.lengthOf(newcomer.frames, 0)
      const again = yield* openRaw(damaged.options)
      assert.strictEqual((yield* again.closed).code, 1011)
      const place = `${damaged.key.libraryId}/${damaged.docId} version 3`
      const said = errors.filter((line) => line.includes(place))
      assert.lengthOf(said, 1)
      assert.match(said[0]!, /the payload does not have the hash that its event names.*`sync-admin doctor`/)

      yield* write(intact, 0)
      const reader = yield* connectRaw(intact.options)
      assert.strictEqual((reader.first["updates"] as ReadonlyArray<unknown>).length, 1)
      const metrics = yield* scrape(server)
      assert.strictEqual(metrics.value("sealog_damaged_streams"), 1)
      assert.isAtLeast(metrics.value("sealog_storage_errors_total", { kind: "damage" })!, 2)
      assert.strictEqual(metrics.value("sealog_storage_errors_total", { kind: "unavailable" }) ?? 0, 0)
      assert.strictEqual((yield* ask(`http://127.0.0.1:${server.port}/readyz`)).status, 200)
      const health = yield* ask(`http://127.0.0.1:${server.port}/healthz`)
      assert.strictEqual(health.status, 200)
      assert.match(JSON.stringify(health.json), /"status":"ok","warning":"the log is damaged;/)

      const [found, ...others] = yield* failuresOf(server.database, "damage")
      assert.lengthOf(others, 0)
      assert.strictEqual(found?.detail, `${damaged.key.libraryId}/${damaged.docId}: payload-changed at version 3`)
      assert.include(found?.tryThis, `sync-admin evict ${damaged.key.libraryId} --document`)
    }).pipe(Effect.provide(layer))
  )

  it.live("comes back from its clients after an eviction of the document", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const libraryId = randomName()
      const options = { url: server.url, documentId: randomName(), token: yield* server.token(libraryId) }
      const client = yield* connectClient(options)
      for (const item of ["a", "b", "c"]) {
        client.write(item)
        yield* untilAll([client], `${item} is stored`, (one) => one.isSettled())
      }
      yield* changePayload(server.database, { libraryId, streamId: options.documentId } as never, 2)
      const refused = yield* openRaw(options)
      assert.strictEqual((yield* refused.closed).code, 1011)
      const evicted = yield* runCommand(server.database, "evict", libraryId, "--document", options.documentId, "--yes")
      assert.strictEqual(evicted.exitCode, 0, evicted.stdout + evicted.stderr)
      const newcomer = yield* connectClient(options)
      yield* untilAll([client, newcomer], "both have all", (one) => one.isSettledOnActive() && one.list().length === 3)
      assert.deepStrictEqual(newcomer.list(), ["a", "b", "c"])
      assert.lengthOf(yield* failuresOf(server.database, "damage"), 0)
    })
  )

  it.live("is found by the scrub, in a document that no client has open", () =>
    Effect.gen(function* () {
      const writer = yield* startServer({ metrics: { port: 0 } })
      const { database } = writer
      const [damaged, intact] = [yield* startDocument(writer), yield* startDocument(writer)]
      yield* changePayload(database, damaged.key, 1)
      const { errors, layer } = collectErrors()
      const before = yield* scrape(writer)
      yield* Effect.gen(function* () {
        const server = yield* startServer({ database, metrics: { port: 0 }, scrub: { bytesPerSecond: 1e9 } })
        yield* untilRisen(server, before, "sealog_scrubs_total")
        assert.isTrue(errors.some((line) => line.includes(`${damaged.docId} version 1: the payload does not have`)))
        assert.isFalse(errors.some((line) => line.includes(intact.docId)))
      }).pipe(Effect.provide(layer))
    })
  )
})

describe.runIf(inject("storage") === "SQLite")("a page of the SQLite file that holds zeros", () => {
  it.live("closes the clients of its documents with 1011, is no outage, and other documents are written", () =>
    Effect.gen(function* () {
      const { errors, layer } = collectErrors()
      yield* Effect.gen(function* () {
        const server = yield* startServer()
        const damaged = yield* startDocument(server)
        // Pages of their own: the payloads of the documents between them fill some.
        for (let i = 0; i < 40; i += 1) yield* startDocument(server)
        const intact = yield* startDocument(server)
        yield* zeroPage(server.database, damaged.key, 1)
        const newcomer = yield* openRaw(damaged.options)
        assert.deepStrictEqual(yield* newcomer.closed, { code: 1011, reason: "the log is damaged" })
        const { author, client, docId, refSnapshotId } = intact
        client.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
        yield* client.next("update-saved")
        const reader = yield* connectRaw(intact.options)
        assert.strictEqual((reader.first["updates"] as ReadonlyArray<unknown>).length, 1)
        assert.isTrue(
          errors.some((line) => /is damaged: .*malformed/.test(line)),
          errors.join("\n")
        )
        assert.isNotEmpty(yield* failuresOf(server.database, "pages"))
        assert.isNotEmpty(yield* failuresOf(server.database, "damage"))
      }).pipe(Effect.provide(layer))
    })
  )

  it.live("is found at the start of a server, which starts", () =>
    Effect.gen(function* () {
      const { errors, layer } = collectErrors()
      yield* Effect.gen(function* () {
        const writer = yield* startServer()
        const { key } = yield* startDocument(writer)
        yield* zeroPage(writer.database, key, 1)
        yield* startServer({ database: writer.database, scrub: {} })
        yield* until("the check has found it", () =>
          errors.some((line) => /damaged: \/.*sealog\.db: payloads: /.test(line))
        )
      }).pipe(Effect.provide(layer))
    })
  )
})
