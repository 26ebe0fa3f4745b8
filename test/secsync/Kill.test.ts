/** What was acknowledged is there after `kill -9`: once, and in its author's order. */
import { assert, describe, it } from "@effect/vitest"
import { LibraryId } from "@sealog/server/domain/Ids"
import { EventLog } from "@sealog/server/EventLog"
import { type Author, makeAuthor, type SealedUpdate, snapshotMessage, updateMessage } from "@sealog/server/testing"
import { Array, Deferred, Effect } from "effect"
import { connectRaw, type ServerFrame } from "../../packages/server/test/support/RawClient.ts"
import { freshStorage, layerOf } from "../support/postgres.ts"
import { makeRandom } from "../support/random.ts"
import { connectClient, untilAll } from "../support/SecsyncClient.ts"
import { mintToken, runCommand, type ServerProcess, spawnServer } from "../support/ServerProcess.ts"
import { randomName } from "../support/TestServer.ts"

const ROUNDS = 6
/** Updates that a writer sends ahead of their acknowledgements. */
const AHEAD = 24

interface Writer {
  readonly author: Author
  readonly documentId: string
  /** By clock. */
  readonly sent: Array<SealedUpdate>
  acknowledged: number
}

describe("kill -9", () => {
  it.live("under load, again and again: every acknowledged update is there once and in order", () =>
    Effect.gen(function* () {
      const random = makeRandom()
      console.log(`kill -9 with TEST_SEED=${random.seed}`)
      const database = yield* freshStorage
      const libraryId = LibraryId.make(randomName())
      const token = yield* mintToken(libraryId)
      const [shared, own] = [randomName(), randomName()]
      const writers = [shared, shared, own].map(
        (documentId): Writer => ({ author: makeAuthor(), documentId, sent: [], acknowledged: 0 })
      )

      for (const round of Array.range(1, ROUNDS)) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const server = yield* spawnServer(database)
            if (round === 1) {
              for (const documentId of [shared, own]) yield* begin(server, documentId, token)
            }
            const enough = yield* Deferred.make<void>()
            let left = 20 + random.next(400)
            const onAcknowledged = () => {
              left -= 1
              if (left === 0) Deferred.doneUnsafe(enough, Effect.void)
            }
            yield* Effect.forEach(writers, (writer) => writeOn(server, writer, token, onAcknowledged))
            yield* Deferred.await(enough)
            // Anywhere in what the server is doing just then.
            for (let turn = random.next(50); turn > 0; turn--) yield* Effect.yieldNow
            yield* server.kill
          })
        )
        const stored = yield* readUpdates(database, libraryId, [shared, own])
        for (const { author, sent, acknowledged } of writers) {
          const found = stored.filter(({ publicData }) => publicData.pubKey === author.pubKey)
          const clocks = found.map(({ publicData }) => publicData.clock)
          assert.deepStrictEqual(
            clocks,
            found.map((_, i) => i),
            `round ${round}, seed ${random.seed}`
          )
          assert.isAtLeast(found.length, acknowledged, `round ${round}, seed ${random.seed}`)
          assert.deepStrictEqual(
            found.map(({ ciphertext }) => ciphertext),
            sent.slice(0, found.length).map(({ ciphertext }) => ciphertext)
          )
        }
        const replayed = yield* runCommand(database, "replay")
        assert.strictEqual(replayed.exitCode, 0, replayed.stdout + replayed.stderr)
        assert.strictEqual(JSON.parse(replayed.stdout).problemCount, 0)
      }
    })
  )

  it.live("under real clients: they come back, go on, and have the same document", () =>
    Effect.gen(function* () {
      const random = makeRandom()
      console.log(`kill -9 under clients with TEST_SEED=${random.seed}`)
      const database = yield* freshStorage
      const options = { documentId: randomName(), token: yield* mintToken(randomName()) }
      const first = yield* spawnServer(database)
      const port = Number(new URL(first.url).port)
      const clients = yield* Effect.all(Array.makeBy(3, () => connectClient({ ...options, url: first.url })))
      yield* untilAll(clients, "all have loaded", (client) => client.isSettled())
      clients[0]?.write("the first")
      yield* untilAll(clients, "all have it", (client) => client.isSettled() && client.list().length === 1)
      let items = 1
      for (const round of Array.range(1, 2)) {
        const server = round === 1 ? first : yield* spawnServer(database, { port })
        yield* untilAll(clients, "all are back", (client) => client.isSettledOnActive())
        const until = items + 10 + random.next(30)
        while (items < until) clients[items++ % 3]?.write(`item ${items}`)
        yield* clients[0]!.until("some of it is stored", () => clients[0]!.list().length > items - 5)
        yield* server.kill
        for (const client of clients) {
          client.write(`written offline in round ${round}`)
          items += 1
        }
      }
      yield* spawnServer(database, { port })
      yield* untilAll(clients, "all have all", (client) => client.isSettledOnActive() && client.list().length === items)
      for (const client of clients) {
        assert.deepStrictEqual(client.list(), clients[0]?.list())
        assert.deepStrictEqual(
          client.errors().filter((error) => error !== "SECSYNC_ERROR_214"),
          []
        )
      }
      const replayed = yield* runCommand(database, "replay")
      assert.strictEqual(replayed.exitCode, 0, replayed.stdout + replayed.stderr)
    })
  )
})

const begin = Effect.fnUntraced(function* (server: ServerProcess, documentId: string, token: string) {
  const client = yield* connectRaw({ url: server.url, documentId, token })
  client.send(snapshotMessage(makeAuthor(), { docId: documentId }))
  yield* client.next("snapshot-saved")
})

/** Sends again what was not acknowledged, and then always some updates ahead. */
const writeOn = Effect.fnUntraced(function* (
  server: ServerProcess,
  writer: Writer,
  token: string,
  onAcknowledged: () => void
) {
  const { author, documentId, sent } = writer
  const client = yield* connectRaw({ url: server.url, documentId, token })
  const { publicData } = client.first["snapshot"] as { readonly publicData: { readonly snapshotId: string } }
  const send = (clock: number) => {
    sent[clock] ??= updateMessage(author, { docId: documentId, refSnapshotId: publicData.snapshotId, clock })
    client.send(sent[clock])
  }
  let next = writer.acknowledged
  client.onFrame((frame: ServerFrame) => {
    if (frame.type === "update-save-failed") throw new Error(`Refused: ${JSON.stringify(frame)}`)
    if (frame.type !== "update-saved") return
    assert.strictEqual(frame["clock"], writer.acknowledged)
    writer.acknowledged += 1
    onAcknowledged()
    send(next++)
  })
  while (next < writer.acknowledged + AHEAD) send(next++)
})

const readUpdates = (database: string, libraryId: LibraryId, documentIds: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const log = yield* EventLog
    const streams = yield* Effect.forEach(documentIds, (streamId) => log.read({ libraryId, streamId }, { after: 0 }))
    return streams.flatMap((events) =>
      events
        .filter(({ event }) => event.type === "UpdateStored")
        .map(({ payload }): SealedUpdate => JSON.parse(Buffer.from(payload ?? []).toString()))
    )
  }).pipe(Effect.provide(layerOf(database)), Effect.orDie)
