/** Rooms on a log that fails, that other processes write to, and that many clients read while it grows. */
import { assert, describe, it } from "@effect/vitest"
import { Array, Deferred, Effect, Fiber, Latch, Layer, Result } from "effect"
import { connectRaw, openRaw, type RawSecsync, type ServerFrame } from "#test-support/clients/RawSecsync"
import { startDocument } from "#test-support/secsync/startDocument"
import { startMemoryServer, type TestServer } from "#test-support/servers/TestServer"
import { makeSharedSignals, makeTroubledLog } from "#test-support/storage/TroubledLog"
import { evict } from "../../src/admin/Eviction.ts"
import { blake2b256 } from "../../src/domain/Blake2b.ts"
import { canonicalJson } from "../../src/domain/CanonicalJson.ts"
import { LibraryId, type SnapshotId } from "../../src/domain/Ids.ts"
import { type NewEvent, place, type StreamKey } from "../../src/domain/Stream.ts"
import { type DocumentEvent, toNewEvent } from "../../src/domain/secsync/Events.ts"
import * as Metrics from "../../src/metrics/Metrics.ts"
import { EventLog } from "../../src/ports/EventLog.ts"
import { Signals } from "../../src/ports/Signals.ts"
import { Committer } from "../../src/rooms/Committer.ts"
import type { Committed, RoomProtocol } from "../../src/rooms/RoomProtocol.ts"
import { makeRooms } from "../../src/rooms/Rooms.ts"
import {
  ephemeralMessage,
  makeAuthor,
  resign,
  type SealedSnapshot,
  type SealedUpdate,
  snapshotMessage,
  updateMessage
} from "../../src/testing/SealedMessages.ts"

describe("a storage that fails", () => {
  it.live("is reported as unavailable, leaves no half-stored update, and serves again without a restart", () =>
    Effect.gen(function* () {
      const { layer, log, trouble } = yield* makeTroubledLog
      const server = yield* startMemoryServer({}, layer)
      const { author, client, docId, key, options, refSnapshotId, snapshot } = yield* startDocument(server)
      const updates = Array.makeBy(3, (clock) => updateMessage(author, { docId, refSnapshotId, clock }))
      assert.strictEqual(yield* health(server), 200)

      trouble.down = true
      for (const update of updates) client.send(update)
      const refusal = yield* client.next("update-save-failed")
      assert.strictEqual(refusal["requiresNewSnapshot"], false)
      assert.strictEqual((yield* client.closed).code, 1013)
      assert.strictEqual(yield* health(server), 503)
      const early = yield* openRaw(options)
      assert.strictEqual((yield* early.closed).code, 1013)

      trouble.down = false
      const again = yield* connectRaw(options)
      for (const update of updates) again.send(update)
      yield* again.next("update-saved", ({ clock }) => clock === 2)
      assert.strictEqual(yield* health(server), 200)
      trouble.down = true
      again.send(snapshotMessage(author, { docId, parent: snapshot, clocks: { [author.pubKey]: 2 } }))
      assert.deepStrictEqual((yield* again.closed).code, 1013)
      trouble.down = false
      assert.lengthOf((yield* connectRaw(options)).first["updates"] as ReadonlyArray<unknown>, 3)
      assert.lengthOf(yield* log.read(key, { after: 0 }), 4)
    })
  )

  it.live("refuses to open a document until it is back", () =>
    Effect.gen(function* () {
      const { layer, trouble } = yield* makeTroubledLog
      const server = yield* startMemoryServer({}, layer)
      const { options } = yield* startDocument(server)
      const unopened = { ...options, token: yield* server.token(crypto.randomUUID()) }
      trouble.down = true
      for (const client of [yield* openRaw(unopened), yield* openRaw(unopened)]) {
        assert.strictEqual((yield* client.closed).code, 1013)
      }
      trouble.down = false
      assert.strictEqual((yield* connectRaw(unopened)).first.type, "document")
    })
  )

  it.live("stores an update once when it failed after the append, and acknowledges the repeat", () =>
    Effect.gen(function* () {
      const { layer, log, trouble } = yield* makeTroubledLog
      const server = yield* startMemoryServer({}, layer)
      const { author, client, docId, key, options, refSnapshotId } = yield* startDocument(server)
      const reader = yield* connectRaw(options)
      reader.send(ephemeralMessage(author, { docId }))
      yield* client.next("ephemeral-message")
      const update = updateMessage(author, { docId, refSnapshotId, clock: 0 })

      trouble.losesAnswers = true
      client.send(update)
      yield* client.next("update-save-failed")
      trouble.losesAnswers = false
      const again = yield* connectRaw(options)
      again.send(update)
      yield* again.next("update-saved")
      again.send(updateMessage(author, { docId, refSnapshotId, clock: 1 }))
      yield* again.next("update-saved")
      yield* reader.next("update", (frame) => clockOf(frame) === 1)
      assert.deepStrictEqual(reader.frames.filter(({ type }) => type === "update").map(clockOf), [0, 1])
      assert.lengthOf(yield* log.read(key, { after: 0 }), 3)
    })
  )
})

describe("other processes on the same log", () => {
  it.live("cause a conflict: the room decides again, and every client sees each event once and in order", () =>
    Effect.gen(function* () {
      const { layer, log, trouble } = yield* makeTroubledLog
      const server = yield* startMemoryServer({}, layer)
      const { author, client, docId, key, options, refSnapshotId } = yield* startDocument(server)
      const reader = yield* connectRaw(options)
      reader.send(ephemeralMessage(author, { docId }))
      yield* client.next("ephemeral-message")
      const foreign = makeAuthor()
      let clock = 0
      for (const round of Array.range(0, 4)) {
        trouble.beforeNextAppend = foreignUpdate(
          log,
          key,
          updateMessage(foreign, { docId, refSnapshotId, clock: round })
        )
        const burst = Array.makeBy(5, () => updateMessage(author, { docId, refSnapshotId, clock: clock++ }))
        for (const update of burst) client.send(update)
        yield* client.next("update-saved", (frame) => frame["clock"] === clock - 1)
      }
      yield* reader.next("update", (frame) => clockOf(frame) === clock - 1)
      const stored = (yield* log.read(key, { after: 1 })).map(({ payload }) => parse(payload))
      assert.lengthOf(stored, 30)
      assert.deepStrictEqual(
        reader.frames.filter(({ type }) => type === "update").map(authorAndClock),
        stored.map(authorAndClock)
      )
      // The author receives the foreign updates, and acknowledgements of its own.
      assert.deepStrictEqual(
        client.frames.filter(({ type }) => type === "update").map(authorAndClock),
        stored.map(authorAndClock).filter(([pubKey]) => pubKey === foreign.pubKey)
      )
      assert.deepStrictEqual(
        client.frames.filter(({ type }) => type === "update-saved").map((frame) => frame["clock"]),
        Array.range(0, clock - 1)
      )
    })
  )

  it.live("store a snapshot first: an update to the old one is refused, an update to the new one accepted", () =>
    Effect.gen(function* () {
      const { layer, log, trouble } = yield* makeTroubledLog
      // Without signals, the room finds foreign events only when it commits or refuses.
      const server = yield* startMemoryServer({}, layer)
      const { author, client, docId, key, refSnapshotId, snapshot } = yield* startDocument(server)
      const theirs = snapshotMessage(makeAuthor(), { docId, parent: snapshot })
      trouble.beforeNextAppend = foreignSnapshot(log, key, theirs)
      client.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
      const refusal = yield* client.next("update-save-failed")
      assert.strictEqual(refusal["requiresNewSnapshot"], false)
      const { snapshotId } = theirs.publicData
      client.send(updateMessage(author, { docId, refSnapshotId: snapshotId, clock: 0 }))
      yield* client.next("update-saved", (frame) => frame["snapshotId"] === snapshotId)

      const next = snapshotMessage(makeAuthor(), { docId, parent: theirs, clocks: { [author.pubKey]: 0 } })
      yield* foreignSnapshot(log, key, next)
      // This process does not know the snapshot yet, and must not refuse the update for that.
      client.send(updateMessage(author, { docId, refSnapshotId: next.publicData.snapshotId, clock: 0 }))
      yield* client.next("update-saved", (frame) => frame["snapshotId"] === next.publicData.snapshotId)
      assert.deepStrictEqual(
        client.frames.map(({ type }) => type),
        ["document", "snapshot-saved", "snapshot", "update-save-failed", "update-saved", "snapshot", "update-saved"]
      )
    })
  )

  it.live("write the same document: every update is stored once, and every client receives it once", () =>
    Effect.gen(function* () {
      const { layer, log } = yield* makeTroubledLog
      const signals = yield* makeSharedSignals
      const servers = [
        yield* startMemoryServer({}, layer, signals),
        yield* startMemoryServer({}, Layer.fresh(layer), Layer.fresh(signals))
      ]
      const { docId, key, options, refSnapshotId } = yield* startDocument(servers[0]!)
      const each = 100
      const readers = yield* Effect.forEach(servers, ({ url }) => connectRaw({ ...options, url }))
      yield* Effect.forEach(
        [servers[0]!, servers[1]!, servers[1]!],
        Effect.fnUntraced(function* ({ url }) {
          const author = makeAuthor()
          let client: RawSecsync = yield* connectRaw({ ...options, url })
          const updates = Array.makeBy(each, (clock) => updateMessage(author, { docId, refSnapshotId, clock }))
          for (let clock = 0; clock < each; ) {
            client.send(updates[clock]!)
            const isSaved = yield* Effect.raceFirst(
              Effect.as(
                client.next("update-saved", (frame) => frame["clock"] === clock),
                true
              ),
              Effect.as(client.closed, false)
            )
            // A room that meets too many conflicts sends its client away; the client comes back.
            if (isSaved) clock += 1
            else client = yield* connectRaw({ ...options, url })
          }
        }),
        { concurrency: "unbounded" }
      )
      const stored = (yield* log.read(key, { after: 1 })).map(({ payload }) => parse(payload))
      assert.lengthOf(stored, 3 * each)
      for (const reader of readers) {
        const last = authorAndClock(stored.at(-1)!)
        yield* reader.next("update", (frame) => String(authorAndClock(frame)) === String(last))
        assert.deepStrictEqual(
          reader.frames.filter(({ type }) => type === "update").map(authorAndClock),
          stored.map(authorAndClock)
        )
      }
    })
  )

  it.live("evict a document: one client that has it is asked to restore it, and another if that one leaves", () =>
    Effect.gen(function* () {
      const { layer, log } = yield* makeTroubledLog
      const signals = yield* makeSharedSignals
      const server = yield* startMemoryServer({}, layer, signals)
      const { client, docId, key, options, refSnapshotId, snapshot } = yield* startDocument(server)
      const second = yield* connectRaw(options)
      yield* evict({ libraryId: key.libraryId }).pipe(Effect.provideService(EventLog, log), Effect.provide(signals))
      const asked = yield* client.next("update-save-failed")
      assert.deepStrictEqual([asked["snapshotId"], asked["requiresNewSnapshot"]], [refSnapshotId, true])
      const newcomer = yield* connectRaw(options)
      assert.deepStrictEqual(newcomer.first, { type: "document", updates: [] })
      assert.deepStrictEqual(
        second.frames.map(({ type }) => type),
        ["document"]
      )
      client.socket.terminate()
      yield* second.next("update-save-failed", (frame) => frame["requiresNewSnapshot"] === true)
      const restored = snapshotMessage(makeAuthor(), { docId, parent: snapshot })
      second.send(restored)
      yield* second.next("snapshot-saved")
      yield* newcomer.next("snapshot")
      assert.deepStrictEqual(
        newcomer.frames.map(({ type }) => type),
        ["document", "snapshot"]
      )
    })
  )

  it.live("evict a document: a snapshot that misses updates which its connection received is refused", () =>
    Effect.gen(function* () {
      const { layer, log } = yield* makeTroubledLog
      // Without signals, the room finds the eviction at the next write.
      const server = yield* startMemoryServer({}, layer)
      const { author, client, docId, key, options, refSnapshotId, snapshot } = yield* startDocument(server)
      const hasty = yield* connectRaw(options)
      hasty.send(ephemeralMessage(author, { docId }))
      yield* client.next("ephemeral-message")
      client.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
      yield* hasty.next("update")
      yield* evict({ libraryId: key.libraryId }).pipe(
        Effect.provideService(EventLog, log),
        Effect.provide(Signals.layerNone)
      )

      const other = makeAuthor()
      // Made before the update arrived. It would drop the update, and the update's author could not continue.
      const early = snapshotMessage(other, { docId, parent: snapshot })
      const complete = snapshotMessage(other, { docId, parent: snapshot, clocks: { [author.pubKey]: 0 } })
      hasty.send(early)
      assert.deepStrictEqual(yield* hasty.next("snapshot-save-failed"), { type: "snapshot-save-failed" })
      hasty.send(complete)
      yield* hasty.next("snapshot-saved", (frame) => frame["snapshotId"] === complete.publicData.snapshotId)
      yield* client.next("snapshot")
    })
  )
})

describe("a returning client", () => {
  const knowing = (snapshot: SealedSnapshot) => `&mode=delta&knownSnapshotId=${idOf(snapshot)}`

  it.live("receives the proof chain of the snapshot that it receives, even if a newer one is stored at that time", () =>
    Effect.gen(function* () {
      const { layer, trouble } = yield* makeTroubledLog
      const server = yield* startMemoryServer({}, layer)
      const { author, client, docId, options, snapshot } = yield* startDocument(server)
      const second = snapshotMessage(author, { docId, parent: snapshot })
      const third = snapshotMessage(author, { docId, parent: second })
      client.send(second)
      yield* client.next("snapshot-saved", (frame) => frame["snapshotId"] === idOf(second))
      trouble.beforeNextReadKeyed = Effect.gen(function* () {
        client.send(third)
        yield* client.next("snapshot-saved", (frame) => frame["snapshotId"] === idOf(third))
      })
      const again = yield* connectRaw({ ...options, query: knowing(snapshot) })
      assert.deepStrictEqual(again.first["snapshot"], JSON.parse(JSON.stringify(second)))
      assert.deepStrictEqual(chainOf(again.first), [idOf(second)])
      again.send(ephemeralMessage(author, { docId }))
      assert.strictEqual((yield* again.next("snapshot"))["snapshotProofChain"], undefined)
    })
  )

  it.live("receives nothing older than the snapshot it knows, even if another process stored that one", () =>
    Effect.gen(function* () {
      const { layer, log } = yield* makeTroubledLog
      // Without signals, the room finds foreign events only when it commits or refuses.
      const server = yield* startMemoryServer({}, layer)
      const { author, docId, key, options, snapshot } = yield* startDocument(server)
      const second = snapshotMessage(author, { docId, parent: snapshot })
      const third = snapshotMessage(author, { docId, parent: second })
      yield* connectRaw(options)
      yield* foreignSnapshot(log, key, second)
      const again = yield* connectRaw({ ...options, query: knowing(second) })
      assert.deepStrictEqual(again.first, { type: "document", updates: [] })
      yield* foreignSnapshot(log, key, third)
      const later = yield* connectRaw({ ...options, query: knowing(second) })
      assert.deepStrictEqual(chainOf(later.first), [])
    })
  )

  it.live("receives no update that it knows, even if another process stored that one", () =>
    Effect.gen(function* () {
      const { layer, log } = yield* makeTroubledLog
      // Without signals, the room finds foreign events only when it commits or refuses.
      const server = yield* startMemoryServer({}, layer)
      const { author, client, docId, key, options, refSnapshotId, snapshot } = yield* startDocument(server)
      const foreign = makeAuthor()
      yield* connectRaw(options)
      yield* foreignUpdate(log, key, updateMessage(foreign, { docId, refSnapshotId, clock: 0 }))
      const clocks = encodeURIComponent(JSON.stringify({ [foreign.pubKey]: 0 }))
      const again = yield* connectRaw({
        ...options,
        query: `${knowing(snapshot)}&knownSnapshotUpdateClocks=${clocks}`
      })
      client.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
      assert.deepStrictEqual(authorAndClock(yield* again.next("update")), [author.pubKey, 0])
    })
  )
})

describe("a refused snapshot", () => {
  it.live("is answered with the proof chain from its author's last snapshot to one stored during the answer", () =>
    Effect.gen(function* () {
      const { layer, trouble } = yield* makeTroubledLog
      const server = yield* startMemoryServer({}, layer)
      const { author, client, docId, options, refSnapshotId, snapshot } = yield* startDocument(server)
      const behind = yield* connectRaw(options)
      behind.send(ephemeralMessage(author, { docId }))
      yield* client.next("ephemeral-message")
      // The tail that the document was last served from is now too old.
      client.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
      yield* behind.next("update")
      const second = snapshotMessage(author, { docId, parent: snapshot, clocks: { [author.pubKey]: 0 } })
      const third = snapshotMessage(author, { docId, parent: second })
      // The document was last served from a tail that ended at its first event.
      trouble.beforeRead = { after: 1, happens: storeSnapshots(client, second, third) }
      // The reason is a used id, so that no newer snapshot exists until the answer is made.
      behind.send(resign(author, snapshotMessage(author, { docId, parent: snapshot }), { snapshotId: idOf(snapshot) }))
      const answer = yield* behind.next("snapshot-save-failed")
      assert.deepStrictEqual(chainOf(answer), [idOf(second), idOf(third)])
      assert.deepStrictEqual(answer["snapshot"], JSON.parse(JSON.stringify(third)))

      const fourth = snapshotMessage(author, { docId, parent: third })
      client.send(fourth)
      yield* behind.next("snapshot")
      behind.send(snapshotMessage(makeAuthor(), { docId, parent: snapshot }))
      assert.deepStrictEqual(chainOf(yield* behind.next("snapshot-save-failed")), [])
    })
  )

  it.live(
    "is answered with the proof chain from the snapshot that its author was sent, if it was to be the document's first",
    () =>
      Effect.gen(function* () {
        const { layer, trouble } = yield* makeTroubledLog
        const server = yield* startMemoryServer({}, layer)
        const docId = crypto.randomUUID()
        const options = { url: server.url, documentId: docId, token: yield* server.token("library") }
        const [client, late] = [yield* connectRaw(options), yield* connectRaw(options)]
        const author = makeAuthor()
        const first = snapshotMessage(author, { docId })
        client.send(first)
        yield* client.next("snapshot-saved")
        yield* late.next("snapshot")
        // The document was last served from a tail that ended at its first event.
        yield* connectRaw(options)
        client.send(updateMessage(author, { docId, refSnapshotId: idOf(first), clock: 0 }))
        yield* late.next("update")
        const second = snapshotMessage(author, { docId, parent: first, clocks: { [author.pubKey]: 0 } })
        const third = snapshotMessage(author, { docId, parent: second })
        trouble.beforeRead = { after: 1, happens: storeSnapshots(client, second, third) }
        late.send(snapshotMessage(makeAuthor(), { docId }))
        const answer = yield* late.next("snapshot-save-failed")
        assert.deepStrictEqual(answer["snapshot"], JSON.parse(JSON.stringify(third)))
        assert.deepStrictEqual(chainOf(answer), [idOf(second), idOf(third)])
      })
  )
})

const storeSnapshots = (client: RawSecsync, ...snapshots: ReadonlyArray<SealedSnapshot>) =>
  Effect.forEach(snapshots, (snapshot) => {
    client.send(snapshot)
    return client.next("snapshot-saved")
  })

const idOf = ({ publicData }: ReturnType<typeof snapshotMessage>): string => publicData.snapshotId

const chainOf = (frame: ServerFrame): ReadonlyArray<string> =>
  ((frame["snapshotProofChain"] ?? []) as ReadonlyArray<{ readonly snapshotId: string }>).map(
    ({ snapshotId }) => snapshotId
  )

describe("a document under heavy writing", () => {
  it.live("handles the messages of one connection in their order", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer()
      const options = { url: server.url, documentId: crypto.randomUUID(), token: yield* server.token("library") }
      const client = yield* connectRaw(options)
      const author = makeAuthor()
      const docId = options.documentId
      const expected: Array<readonly [string, unknown]> = []
      let parent: SealedSnapshot | undefined
      // All at once: every message builds on messages that are not answered yet.
      for (const round of Array.range(1, 5)) {
        const clocks = parent === undefined ? {} : { [author.pubKey]: 19 }
        const snapshot = snapshotMessage(author, { docId, clocks, ...(parent && { parent }) })
        client.send(snapshot)
        expected.push(["snapshot-saved", snapshot.publicData.snapshotId])
        for (const clock of Array.range(0, 19)) {
          client.send(updateMessage(author, { docId, refSnapshotId: snapshot.publicData.snapshotId, clock }))
          expected.push(["update-saved", clock])
        }
        parent = snapshot
        assert.isAtMost(round, 5)
      }
      for (const _ of expected) yield* client.next()
      assert.deepStrictEqual(
        client.frames.slice(1).map((frame) => [frame.type, frame["clock"] ?? frame["snapshotId"]] as const),
        expected
      )
    })
  )

  it.live("sends every version once to a client that joins during the writing", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer()
      const { author, client, docId, options, refSnapshotId, snapshot } = yield* startDocument(server)
      const [snapshots, each, joiners] = [4, 100, 30]
      const joined = yield* Effect.forkChild(
        Effect.forEach(
          Array.range(1, joiners),
          (i) =>
            Effect.gen(function* () {
              // Spread over the whole time of writing.
              yield* client.next("update-saved", () => savedOf(client) > (i * snapshots * each) / (joiners + 2))
              return yield* connectRaw(options)
            }),
          { concurrency: "unbounded" }
        )
      )
      let parent = snapshot
      for (const round of Array.range(1, snapshots)) {
        const current = round === 1 ? refSnapshotId : parent.publicData.snapshotId
        for (const clock of Array.range(0, each - 1)) {
          client.send(updateMessage(author, { docId, refSnapshotId: current, clock }))
        }
        if (round === snapshots) break
        parent = snapshotMessage(author, { docId, parent, clocks: { [author.pubKey]: each - 1 } })
        client.send(parent)
      }
      for (const reader of yield* Fiber.join(joined)) {
        if (!hasAll(reader, parent, each)) {
          yield* reader.next(undefined, () => hasAll(reader, parent, each))
        }
        assertGapless(reader.frames.filter(({ type }) => type !== "ephemeral-message"))
      }
    })
  )
})

const savedOf = (client: RawSecsync): number => client.frames.filter(({ type }) => type === "update-saved").length

/** True when the last update of the last snapshot has arrived. */
const hasAll = (reader: RawSecsync, last: SealedSnapshot, each: number): boolean => {
  const updates = reader.frames.flatMap((frame): ReadonlyArray<unknown> => {
    if (frame.type === "document") return frame["updates"] as ReadonlyArray<unknown>
    return frame.type === "update" ? [frame] : []
  }) as ReadonlyArray<SealedUpdate>
  return updates.some(
    ({ publicData }) => publicData.refSnapshotId === last.publicData.snapshotId && publicData.clock === each - 1
  )
}

/** Asserts that a document came first, and then every later snapshot and update, each after the one before. */
const assertGapless = (frames: ReadonlyArray<ServerFrame>): void => {
  let active: string | undefined
  let next = 0
  for (const frame of frames) {
    if (frame.type === "document") {
      active = (frame["snapshot"] as SealedSnapshot).publicData.snapshotId
      next = 0
      for (const { publicData } of frame["updates"] as ReadonlyArray<SealedUpdate>) {
        assert.deepStrictEqual([publicData.refSnapshotId, publicData.clock], [active, next++])
      }
    } else if (frame.type === "snapshot") {
      const { publicData } = frame["snapshot"] as SealedSnapshot
      assert.strictEqual(publicData.parentSnapshotId, active)
      active = publicData.snapshotId
      next = 0
    } else {
      assert.strictEqual(frame.type, "update")
      const { publicData } = frame as unknown as SealedUpdate
      assert.deepStrictEqual([publicData.refSnapshotId, publicData.clock], [active, next++])
    }
  }
}

const health = (server: TestServer) =>
  Effect.promise(async () => (await fetch(`http://127.0.0.1:${server.port}/healthz`)).status)

const parse = (payload: Uint8Array | null): SealedUpdate => JSON.parse(Buffer.from(payload ?? []).toString())

const clockOf = (frame: ServerFrame): number => (frame["publicData"] as SealedUpdate["publicData"]).clock

const authorAndClock = (message: object): readonly [string, number] => {
  const { publicData } = message as SealedUpdate
  return [publicData.pubKey, publicData.clock]
}

/** Appends an event as another process does. */
const appendForeign = Effect.fnUntraced(function* (
  log: EventLog["Service"],
  key: StreamKey,
  event: DocumentEvent,
  message: object
) {
  const payload = Buffer.from(canonicalJson(message))
  const [head] = yield* log.heads([key])
  const placed = place(key, head!, toNewEvent(event, blake2b256(payload)), "another process", 0)
  const [result] = yield* log.append([
    { key, expectedVersion: head!.version, events: [{ event: placed, payload: Uint8Array.from(payload) }] }
  ])
  assert.strictEqual(result?._tag, "Committed")
}, Effect.orDie)

const foreignUpdate = (log: EventLog["Service"], key: StreamKey, update: SealedUpdate) => {
  const { clock, pubKey, refSnapshotId } = update.publicData
  return appendForeign(
    log,
    key,
    { _tag: "UpdateStored", clock, pubKey, refSnapshotId: refSnapshotId as SnapshotId },
    update
  )
}

const foreignSnapshot = (log: EventLog["Service"], key: StreamKey, snapshot: SealedSnapshot) => {
  const { parentSnapshotId, parentSnapshotProof, parentSnapshotUpdateClocks, pubKey, snapshotId } = snapshot.publicData
  const event: DocumentEvent = {
    _tag: "SnapshotStored",
    snapshotId: snapshotId as SnapshotId,
    ciphertextHash: blake2b256(snapshot.ciphertext),
    parentSnapshotId: parentSnapshotId as SnapshotId,
    parentSnapshotProof,
    parentSnapshotUpdateClocks,
    pubKey
  }
  return appendForeign(log, key, event, snapshot)
}

describe("a session in a room", () => {
  it.effect("may submit from within an answer, and receives one answer for each command", () =>
    Effect.gen(function* () {
      const { layer } = yield* makeTroubledLog
      const key: StreamKey = { libraryId: LibraryId.make("library"), streamId: "numbers" }
      const answers: Array<string> = []
      yield* Effect.gen(function* () {
        const rooms = yield* makeRooms(numbers, { protocol: "secsync", idle: 0 })
        const room = yield* rooms.get(key)
        const done = yield* Latch.make()
        room.submit("odd", "a", (outcome) => {
          answers.push(`first ${outcome._tag}`)
          room.submit("odd", "a", (outcome) => {
            answers.push(`second ${outcome._tag}`)
            room.submit("even", "a", (outcome) => {
              answers.push(`third ${outcome._tag}`)
              done.openUnsafe()
            })
          })
        })
        yield* done.await
      }).pipe(Effect.scoped, Effect.provide(Committer.layer.pipe(Layer.provideMerge([layer, Signals.layerNone]))))
      assert.deepStrictEqual(answers, ["first Refused", "second Refused", "third Stored"])
    })
  )

  it.effect("shares one frame of an event with all subscribers, and none is made without subscribers", () =>
    Effect.gen(function* () {
      const { layer } = yield* makeTroubledLog
      const key: StreamKey = { libraryId: LibraryId.make("library"), streamId: "numbers" }
      const made: Array<Uint8Array> = []
      const frame = () => {
        const bytes = new Uint8Array(1)
        made.push(bytes)
        return bytes
      }
      const delivered: Array<Uint8Array | undefined> = []
      yield* Effect.gen(function* () {
        const rooms = yield* makeRooms({ ...numbers, frame }, { protocol: "secsync", idle: 0 })
        const room = yield* rooms.get(key)
        const store = Effect.callback<void>((resume) => room.submit("even", "a", () => resume(Effect.void)))
        yield* store
        // The event is delivered right after its answer.
        yield* Effect.yieldNow
        assert.lengthOf(made, 0)
        for (const id of Array.range(1, 100).map(String)) {
          yield* room.subscribe({
            id,
            deliver: ({ frame }) => void delivered.push(frame),
            relay: () => {},
            fail: () => {}
          })
        }
        yield* store
        yield* Effect.yieldNow
      }).pipe(Effect.scoped, Effect.provide(Committer.layer.pipe(Layer.provideMerge([layer, Signals.layerNone]))))
      assert.lengthOf(made, 1)
      assert.lengthOf(delivered, 100)
      assert.isTrue(delivered.every((frame) => frame === made[0]))
    })
  )
})

describe("the context of a decision", () => {
  const key: StreamKey = { libraryId: LibraryId.make("library"), streamId: "numbers" }

  /** A room whose context is the number in `clock`, and which refuses a command until the clock has come to its number. */
  const makeTimedRoom = Effect.gen(function* () {
    const { layer, log, trouble } = yield* makeTroubledLog
    const clock = { now: 1 }
    const decisions: Array<string> = []
    const timed: RoomProtocol<null, number, "early", null, number> = {
      ...numbers,
      isSettled: () => false,
      context: () => clock.now,
      decide: (_, due, now) => {
        decisions.push(`${due} at ${now}`)
        return now >= due
          ? Result.succeed({ event: { ...even, data: { due, decidedAt: now } }, payload: null })
          : Result.fail("early")
      }
    }
    const services = yield* Layer.build(Committer.layer.pipe(Layer.provideMerge([layer, Signals.layerNone])))
    const rooms = yield* makeRooms(timed, { protocol: "secsync", idle: 0 }).pipe(Effect.provide(services))
    const room = yield* rooms.get(key)
    const submit = (due: number) =>
      Effect.callback<string>((resume) => {
        room.submit(due, "a", (outcome) =>
          resume(Effect.succeed(outcome._tag === "Stored" ? JSON.stringify(outcome.event.data) : outcome._tag))
        )
      })
    return { clock, decisions, log, submit, trouble }
  })

  it.effect("is of the moment at which a command that waited behind a commit is decided", () =>
    Effect.gen(function* () {
      const { clock, decisions, submit, trouble } = yield* makeTimedRoom
      const [committing, release] = [yield* Latch.make(), yield* Latch.make()]
      trouble.beforeNextAppend = Effect.andThen(committing.open, release.await)
      const first = yield* Effect.forkChild(submit(1), { startImmediately: true })
      yield* committing.await
      const second = yield* Effect.forkChild(submit(2), { startImmediately: true })
      assert.deepStrictEqual(decisions, ["1 at 1", "2 at 1"])
      clock.now = 2
      yield* release.open
      assert.strictEqual(yield* Fiber.join(first), `{"due":1,"decidedAt":1}`)
      assert.strictEqual(yield* Fiber.join(second), `{"due":2,"decidedAt":2}`)
      assert.deepStrictEqual(decisions, ["1 at 1", "2 at 1", "2 at 2"])
    }).pipe(Effect.scoped)
  )

  it.effect("is fresh when a command is decided again after a conflict", () =>
    Effect.gen(function* () {
      const { clock, decisions, log, submit, trouble } = yield* makeTimedRoom
      trouble.beforeNextAppend = Effect.andThen(
        appendEven(log, key),
        Effect.sync(() => {
          clock.now = 7
        })
      )
      assert.strictEqual(yield* submit(1), `{"due":1,"decidedAt":7}`)
      assert.deepStrictEqual(decisions, ["1 at 1", "1 at 7"])
      const stored = yield* log.read(key, { after: 0 })
      assert.deepStrictEqual(
        stored.map(({ event }) => event.data),
        [{}, { due: 1, decidedAt: 7 }]
      )
    }).pipe(Effect.scoped)
  )
})

describe("a room that another process writes beside", () => {
  const key: StreamKey = { libraryId: LibraryId.make("library"), streamId: "numbers" }

  it.effect("answers a refusal that waited behind a command which was stored before", () =>
    Effect.gen(function* () {
      const { layer } = yield* makeTroubledLog
      const answers: Array<string> = []
      yield* Effect.gen(function* () {
        const rooms = yield* makeRooms(
          { ...numbers, isSettled: (refusal) => refusal === "done" },
          { protocol: "secsync", idle: 0 }
        )
        const room = yield* rooms.get(key)
        const done = yield* Latch.make()
        room.submit("done", "a", () => answers.push("first"))
        room.submit("odd", "a", ({ _tag }) => {
          answers.push(`second ${_tag}`)
          done.openUnsafe()
        })
        yield* done.await
      }).pipe(Effect.scoped, Effect.provide(Committer.layer.pipe(Layer.provideMerge([layer, Signals.layerNone]))))
      assert.deepStrictEqual(answers, ["first", "second Refused"])
    })
  )

  it.effect("reads again when it is woken while it reads", () =>
    Effect.gen(function* () {
      const { layer, log } = yield* makeTroubledLog
      const delivered: Array<number> = []
      yield* Effect.gen(function* () {
        const reading = yield* Latch.make()
        const written = yield* Latch.make()
        const slow = EventLog.of({
          ...log,
          // The first read takes what it reads, and returns only after the other process has written.
          read: (key, options) =>
            log.read(key, options).pipe(Effect.tap(() => Effect.andThen(reading.open, written.await)))
        })
        const rooms = yield* makeRooms(numbers, { protocol: "secsync", idle: 0 }).pipe(
          Effect.provideService(EventLog, slow)
        )
        const room = yield* rooms.get(key)
        const arrived = yield* Latch.make()
        const deliver = ({ event }: Committed) => {
          delivered.push(event.version)
          arrived.openUnsafe()
        }
        yield* room.subscribe({ id: "a", deliver, relay: () => {}, fail: () => {} })
        room.wake()
        yield* reading.await
        yield* appendEven(log, key)
        room.wake()
        yield* written.open
        yield* arrived.await
      }).pipe(Effect.scoped, Effect.provide(Committer.layer.pipe(Layer.provideMerge([layer, Signals.layerNone]))))
      assert.deepStrictEqual(delivered, [1])
    })
  )

  it.effect("is opened again when events were purged before it read them", () =>
    Effect.gen(function* () {
      const { layer, log } = yield* makeTroubledLog
      const defects = Metrics.defects.at({}).count
      yield* Effect.gen(function* () {
        const rooms = yield* makeRooms({ ...numbers, readsPayloads: true }, { protocol: "verdant", idle: 0 })
        const room = yield* rooms.get(key)
        const ended = yield* Deferred.make<string>()
        const fail = (why: string) => Deferred.doneUnsafe(ended, Effect.succeed(why))
        yield* room.subscribe({ id: "a", deliver: () => {}, relay: () => {}, fail })
        yield* appendEven(log, key, { payload: Uint8Array.of(1) })
        yield* appendEven(log, key, { isCheckpoint: true })
        room.wake()
        assert.strictEqual(yield* Deferred.await(ended), "behind")
        assert.isTrue(room.isDropped())
        assert.strictEqual((yield* rooms.get(key)).version(), 2)
      }).pipe(Effect.scoped, Effect.provide(Committer.layer.pipe(Layer.provideMerge([layer, Signals.layerNone]))))
      assert.strictEqual(Metrics.defects.at({}).count, defects)
    })
  )
})

const even: NewEvent = { type: "Even", data: {}, payloadHash: "", checkpoint: false }

/** Appends the event of "even" as another process does. A checkpoint purges the payloads before it. */
const appendEven = Effect.fnUntraced(function* (
  log: EventLog["Service"],
  key: StreamKey,
  { isCheckpoint = false, payload = null }: { isCheckpoint?: boolean; payload?: Uint8Array | null } = {}
) {
  const [head] = yield* log.heads([key])
  const payloadHash = payload === null ? "" : blake2b256(payload)
  const event = place(key, head!, { ...even, checkpoint: isCheckpoint, payloadHash }, "another process", 0)
  const purge = isCheckpoint ? { purgeBefore: event.version } : {}
  yield* log.append([{ key, expectedVersion: head!.version, events: [{ event, payload }], ...purge }])
}, Effect.orDie)

/** Accepts "even", and refuses every other command. */
const numbers: RoomProtocol<null, string, string, null, undefined> = {
  context: () => undefined,
  initial: () => null,
  decide: (_, command) => (command === "even" ? Result.succeed({ event: even, payload: null }) : Result.fail(command)),
  evolve: () => null,
  readsPayloads: false,
  isSettled: () => false,
  frame: () => undefined,
  local: () => null,
  observe: () => {},
  hear: () => {}
}
