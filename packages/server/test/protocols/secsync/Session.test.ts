/** The frames that a Secsync client is sent, in order. */
import { assert, describe, it } from "@effect/vitest"
import { Array, Context, Effect, Exit, Fiber, Latch, Layer, PubSub, Scope, Stream } from "effect"
import { connectRaw, type ServerFrame } from "#test-support/clients/RawSecsync"
import { startDocument } from "#test-support/secsync/startDocument"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { until } from "#test-support/until"
import * as MemoryEventLog from "../../../src/adapters/MemoryEventLog.ts"
import type { StreamKey } from "../../../src/domain/Stream.ts"
import { EventLog } from "../../../src/ports/EventLog.ts"
import { type Broadcast, Signals } from "../../../src/ports/Signals.ts"
import {
  ephemeralMessage,
  makeAuthor,
  resign,
  snapshotMessage,
  updateMessage
} from "../../../src/testing/SealedMessages.ts"

const clocksOf = (frame: ServerFrame) =>
  (frame["updates"] as ReadonlyArray<{ publicData: { pubKey: string; clock: number } }>).map(({ publicData }) => [
    publicData.pubKey,
    publicData.clock
  ])

/** A log and signals that several servers share. The broadcasts that `loses` picks do not arrive. */
const sharedStorage = Effect.fnUntraced(function* (loses: (message: Broadcast) => boolean = () => false) {
  const log = Context.get(yield* Layer.build(Layer.fresh(MemoryEventLog.layerMemory)), EventLog)
  const wakeups = yield* PubSub.unbounded<ReadonlyArray<StreamKey>>()
  const broadcasts = yield* PubSub.unbounded<Broadcast>()
  const signals = Layer.succeed(Signals, {
    announce: (keys) => Effect.asVoid(PubSub.publish(wakeups, keys)),
    wakeups: Stream.fromPubSub(wakeups),
    broadcast: (message) =>
      Effect.suspend(() => (loses(message) ? Effect.void : Effect.asVoid(PubSub.publish(broadcasts, message)))),
    broadcasts: Stream.fromPubSub(broadcasts)
  })
  return { log: Layer.succeed(EventLog, log), signals }
})

describe("a Secsync session", () => {
  it.live("sends an empty document for an unknown id and writes nothing", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer()
      const options = { url: server.url, documentId: crypto.randomUUID(), token: yield* server.token("library") }
      const { first } = yield* connectRaw(options)
      assert.deepStrictEqual(first, { type: "document", updates: [] })
      const libraries = yield* server.log.libraries({ limit: 10 })
      assert.deepStrictEqual(
        libraries.filter(({ libraryId }) => libraryId !== "@server"),
        []
      )
    })
  )

  it.live("acknowledges a repeated message again and stores it once", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer()
      const { author, client, docId, key, options, refSnapshotId, snapshot } = yield* startDocument(server)
      const updates = Array.makeBy(3, (clock) => updateMessage(author, { docId, refSnapshotId, clock }))
      for (const update of updates) client.send(update)
      yield* client.next("update-saved", ({ clock }) => clock === 2)
      client.socket.terminate()

      const again = yield* connectRaw(options)
      for (const update of updates) again.send(update)
      again.send(snapshot)
      const answers = yield* Effect.forEach(Array.range(0, 3), () => again.next())
      assert.deepStrictEqual(
        answers.map(({ type, clock }) => [type, clock]),
        [
          ["update-saved", 0],
          ["update-saved", 1],
          ["update-saved", 2],
          ["snapshot-saved", undefined]
        ]
      )
      assert.deepStrictEqual(
        (yield* server.log.read(key, { after: 0 })).map(({ event }) => event.type),
        ["SnapshotStored", "UpdateStored", "UpdateStored", "UpdateStored"]
      )
    })
  )

  it.live("asks an author for a snapshot that sends another update under a stored clock, also of an old snapshot", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer()
      const { author, client, docId, options, refSnapshotId, snapshot } = yield* startDocument(server)
      const another = makeAuthor()
      const other = yield* connectRaw(options)
      const second = snapshotMessage(another, { docId, parent: snapshot })
      other.send(second)
      yield* client.next("snapshot")
      const current = second.publicData.snapshotId
      // At this refusal the client takes back all its updates in flight, also the one that is stored.
      client.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
      client.send(updateMessage(author, { docId, refSnapshotId: current, clock: 0 }))
      assert.isFalse((yield* client.next("update-save-failed"))["requiresNewSnapshot"])
      yield* client.next("update-saved")
      const third = snapshotMessage(another, { docId, parent: second, clocks: { [author.pubKey]: 0 } })
      other.send(third)
      yield* client.next("snapshot", (frame) => JSON.stringify(frame).includes(third.publicData.snapshotId))
      client.send(updateMessage(author, { docId, refSnapshotId: current, clock: 0 }))
      const asked = yield* client.next("update-save-failed")
      assert.deepStrictEqual([asked["snapshotId"], asked["clock"], asked["requiresNewSnapshot"]], [current, 0, true])
      // The client was asked for this snapshot already: the next refusal does not ask again.
      client.send(updateMessage(author, { docId, refSnapshotId: current, clock: 1 }))
      assert.isFalse((yield* client.next("update-save-failed"))["requiresNewSnapshot"])
    })
  )

  it.live("refuses changes that a client sent again, though their clock follows that of the refused update", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer()
      const { author, client, docId, options, refSnapshotId, snapshot } = yield* startDocument(server)
      client.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
      yield* client.next("update-saved")
      client.socket.terminate()
      // After a reconnect, a client begins again at clock 0, and learns its clock by the refusal.
      const again = yield* connectRaw(options)
      again.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
      assert.isFalse((yield* again.next("update-save-failed"))["requiresNewSnapshot"])
      const other = yield* connectRaw(options)
      other.send(snapshotMessage(makeAuthor(), { docId, parent: snapshot, clocks: { [author.pubKey]: 0 } }))
      yield* other.next("snapshot-saved")
      again.send(updateMessage(author, { docId, refSnapshotId, clock: 1 }))
      const answer = yield* again.next(undefined, ({ type }) => type.startsWith("update-"))
      assert.deepStrictEqual([answer.type, answer["clock"]], ["update-save-failed", 1])
    })
  )

  it.live("asks an author for the snapshot that it owes, on its next connection", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer()
      const { author, client, docId, options, refSnapshotId, snapshot } = yield* startDocument(server)
      client.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
      yield* client.next("update-saved")
      // The client takes the acknowledgement of the first update for that of this one, and forgets it.
      client.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
      assert.isTrue((yield* client.next("update-save-failed"))["requiresNewSnapshot"])
      client.socket.terminate()

      const again = yield* connectRaw(options)
      again.send(updateMessage(author, { docId, refSnapshotId, clock: 1 }))
      assert.isTrue((yield* again.next("update-save-failed"))["requiresNewSnapshot"])
      const second = snapshotMessage(author, { docId, parent: snapshot, clocks: { [author.pubKey]: 0 } })
      again.send(second)
      yield* again.next("snapshot-saved")
      again.send(updateMessage(author, { docId, refSnapshotId: second.publicData.snapshotId, clock: 0 }))
      yield* again.next("update-saved")
    })
  )

  it.live(
    "waits at a shutdown for the snapshot that an author owes, because the next process would not ask for it",
    () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const server = yield* Scope.provide(startMemoryServer(), scope)
        const { author, client, docId, options, refSnapshotId, snapshot } = yield* startDocument(server)
        const other = yield* connectRaw(options)
        client.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
        yield* client.next("update-saved")
        client.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
        assert.isTrue((yield* client.next("update-save-failed"))["requiresNewSnapshot"])
        const stopping = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        assert.strictEqual((yield* other.closed).code, 1001)
        client.send(snapshotMessage(author, { docId, parent: snapshot, clocks: { [author.pubKey]: 0 } }))
        yield* client.next("snapshot-saved")
        assert.strictEqual((yield* client.closed).code, 1001)
        yield* Fiber.join(stopping)
      })
  )

  it.live("waits at a shutdown for a snapshot that its author owes only since the shutdown began", () =>
    Effect.gen(function* () {
      const log = Context.get(yield* Layer.build(Layer.fresh(MemoryEventLog.layerMemory)), EventLog)
      const commits = yield* Latch.make(true)
      const held = {
        ...log,
        append: (...append: Parameters<typeof log.append>) => commits.whenOpen(log.append(...append))
      }
      const scope = yield* Scope.make()
      const server = yield* Scope.provide(startMemoryServer({}, Layer.succeed(EventLog, held)), scope)
      const { author, client, docId, options, refSnapshotId, snapshot } = yield* startDocument(server)
      const [other, idle] = [yield* connectRaw(options), yield* connectRaw(options)]
      const another = makeAuthor()
      // The messages of a client are handled in order: once another client has the ephemeral one, those before it are in hand.
      const sendFrom = Effect.fnUntraced(function* (from: typeof client, to: typeof client, update: object) {
        const last = ephemeralMessage(makeAuthor(), { docId })
        from.send(update)
        from.send(last)
        yield* to.next("ephemeral-message", ({ signature }) => signature === last.signature)
      })
      client.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
      yield* client.next("update-saved")
      commits.closeUnsafe()
      yield* sendFrom(client, other, updateMessage(author, { docId, refSnapshotId, clock: 1 }))
      yield* sendFrom(other, client, updateMessage(another, { docId, refSnapshotId, clock: 0 }))
      const stopping = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      assert.strictEqual((yield* idle.closed).code, 1001)
      yield* sendFrom(client, other, updateMessage(author, { docId, refSnapshotId, clock: 0 }))
      commits.openUnsafe()
      assert.isTrue((yield* client.next("update-save-failed"))["requiresNewSnapshot"])
      const clocks = { [author.pubKey]: 1, [another.pubKey]: 0 }
      client.send(snapshotMessage(author, { docId, parent: snapshot, clocks }))
      assert.strictEqual((yield* client.closed).code, 1001)
      assert.strictEqual(client.frames.at(-1)?.type, "snapshot-saved")
      yield* Fiber.join(stopping)
    })
  )

  it.live("sends a client exactly the updates of each author that its clocks do not cover", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer()
      const { client, docId, options, refSnapshotId } = yield* startDocument(server)
      const [a, b, c] = [makeAuthor(), makeAuthor(), makeAuthor()]
      // Interleaved, so that an older update of one author comes after a newer update of another.
      const written = [a, b, b, a, c, b, a].map((author, i, authors) => {
        const clock = authors.slice(0, i).filter((earlier) => earlier === author).length
        return updateMessage(author, { docId, refSnapshotId, clock })
      })
      for (const update of written) client.send(update)
      yield* Effect.forEach(written, () => client.next("update-saved"))

      const known = { [a.pubKey]: 0, [b.pubKey]: 2 }
      const query = `&knownSnapshotId=${refSnapshotId}&knownSnapshotUpdateClocks=${encodeURIComponent(JSON.stringify(known))}`
      const delta = yield* connectRaw({ ...options, query: `&mode=delta${query}` })
      assert.deepStrictEqual(clocksOf(delta.first), [
        [a.pubKey, 1],
        [c.pubKey, 0],
        [a.pubKey, 2]
      ])
      assert.isUndefined(delta.first["snapshot"])
      const complete = yield* connectRaw({ ...options, query: `&mode=complete${query}` })
      assert.lengthOf(clocksOf(complete.first), written.length)
      assert.isDefined(complete.first["snapshot"])
      // Malformed clocks count as none.
      for (const clocks of ["", "null", "[]", '{"__proto__":1}', `{"${a.pubKey}":-1}`, "%7B", "%ff"]) {
        const odd = yield* connectRaw({
          ...options,
          query: `&mode=delta&knownSnapshotId=${refSnapshotId}&knownSnapshotUpdateClocks=${clocks}`
        })
        assert.lengthOf(clocksOf(odd.first), written.length, clocks)
      }
    })
  )

  it.live("sends a client that knows an ancestor the proofs of all later snapshots, oldest first", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer()
      const { author, client, docId, options, snapshot } = yield* startDocument(server)
      const second = snapshotMessage(author, { docId, parent: snapshot })
      const third = snapshotMessage(author, { docId, parent: second })
      for (const next of [second, third]) {
        client.send(next)
        yield* client.next("snapshot-saved")
      }
      const { first } = yield* connectRaw({
        ...options,
        query: `&mode=delta&knownSnapshotId=${snapshot.publicData.snapshotId}`
      })
      const chain = first["snapshotProofChain"] as ReadonlyArray<{ snapshotId: string; parentSnapshotProof: string }>
      assert.deepStrictEqual(
        chain.map(({ snapshotId, parentSnapshotProof }) => [snapshotId, parentSnapshotProof]),
        [second, third].map(({ publicData }) => [publicData.snapshotId, publicData.parentSnapshotProof])
      )
      assert.deepStrictEqual(first["snapshot"], third)
      const stranger = yield* connectRaw({ ...options, query: "&mode=complete&knownSnapshotId=never-seen" })
      assert.deepStrictEqual(stranger.first["snapshotProofChain"] ?? [], [])
      assert.deepStrictEqual(stranger.first["snapshot"], third)
    })
  )

  it.live("sends other clients every signed field, and no additional server data", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer()
      const { author, client, docId, options, refSnapshotId, snapshot } = yield* startDocument(server)
      const reader = yield* connectRaw(options)
      yield* client.next("ephemeral-message")
      const additional = { app: { version: 3, tags: ["ä", "\u2028", "😀"] }, zero: -0, small: 1e-7 }
      const update = updateMessage(author, { docId, refSnapshotId, clock: 0, additional })
      const next = snapshotMessage(author, { docId, parent: snapshot, clocks: { [author.pubKey]: 0 }, additional })
      const ephemeral = ephemeralMessage(author, { docId, additional })
      client.send(update)
      client.send(ephemeral)
      client.send({ ...next, additionalServerData: { secret: "for the policy" } })
      const wire = (value: object): object => JSON.parse(JSON.stringify(value))
      assert.deepStrictEqual(yield* reader.next("update"), wire({ type: "update", ...update }) as never)
      assert.deepStrictEqual(
        yield* reader.next("ephemeral-message"),
        wire({ type: "ephemeral-message", ...ephemeral }) as never
      )
      assert.deepStrictEqual(yield* reader.next("snapshot"), wire({ type: "snapshot", snapshot: next }) as never)
      // A client is not sent its own messages.
      yield* client.next("snapshot-saved")
      assert.deepStrictEqual(
        client.frames.map(({ type }) => type),
        ["document", "snapshot-saved", "ephemeral-message", "update-saved", "snapshot-saved"]
      )
      assert.deepStrictEqual((yield* connectRaw(options)).first["snapshot"], wire(next))
    })
  )

  it.live(
    "tells other processes once that an author owes a snapshot, however many updates it sends under an old clock",
    () =>
      Effect.gen(function* () {
        let told = 0
        const count = () => {
          told += 1
        }
        const signals = Layer.effect(
          Signals,
          Effect.map(Signals, (none) => ({ ...none, broadcast: () => Effect.sync(count) }))
        ).pipe(Layer.provide(Signals.layerNone))
        const server = yield* startMemoryServer({}, MemoryEventLog.layerMemory, signals)
        const { author, client, docId, refSnapshotId } = yield* startDocument(server)
        for (let i = 0; i < 10; i++) client.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
        for (let i = 1; i < 10; i++) yield* client.next("update-save-failed")
        assert.strictEqual(told, 1)
      })
  )

  it.live(
    "tells other processes again that an author owes a snapshot, if one of them stores an update of the author",
    () =>
      Effect.gen(function* () {
        let told = 0
        const { log, signals } = yield* sharedStorage(
          ({ frame }) => Buffer.from(frame).includes("owedBy") && ++told === 1
        )
        const [server, other] = [yield* startMemoryServer({}, log, signals), yield* startMemoryServer({}, log, signals)]
        const { author, client, docId, options, refSnapshotId } = yield* startDocument(server)
        const again = yield* connectRaw({ ...options, url: other.url })
        for (let i = 0; i < 2; i++) client.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
        assert.isTrue((yield* client.next("update-save-failed"))["requiresNewSnapshot"])
        assert.strictEqual(told, 1)

        again.send(updateMessage(author, { docId, refSnapshotId, clock: 1 }))
        yield* again.next("update-saved")
        yield* until("the other process has been told", () => told === 2)
        yield* client.next("update")
        again.send(updateMessage(author, { docId, refSnapshotId, clock: 2 }))
        assert.isTrue((yield* again.next("update-save-failed"))["requiresNewSnapshot"])
      })
  )

  it.live("answers a burst in order and refuses the updates after a gap", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer()
      const { author, client, docId, refSnapshotId } = yield* startDocument(server)
      for (const clock of [0, 1, 3, 4, 2]) client.send(updateMessage(author, { docId, refSnapshotId, clock }))
      const answers = yield* Effect.forEach(Array.range(0, 4), () => client.next())
      assert.deepStrictEqual(
        answers.map(({ type, clock }) => [type, clock]),
        [
          ["update-saved", 0],
          ["update-saved", 1],
          ["update-save-failed", 3],
          ["update-superseded", 4],
          ["update-saved", 2]
        ]
      )
    })
  )

  it.live(
    "refuses a snapshot that is outdated, misses updates, has a forged proof or a used id, or is of another document",
    () =>
      Effect.gen(function* () {
        const server = yield* startMemoryServer()
        const { author, client, docId, refSnapshotId, snapshot } = yield* startDocument(server)
        const [other, late] = [makeAuthor(), makeAuthor()]
        for (const writer of [author, other]) {
          client.send(updateMessage(writer, { docId, refSnapshotId, clock: 0 }))
          yield* client.next("update-saved")
        }
        // It knows one of the two updates.
        client.send(snapshotMessage(late, { docId, parent: snapshot, clocks: { [author.pubKey]: 0 } }))
        const misses = yield* client.next("snapshot-save-failed")
        assert.isUndefined(misses["snapshot"])
        assert.deepStrictEqual(clocksOf(misses), [[other.pubKey, 0]])

        const clocks = { [author.pubKey]: 0, [other.pubKey]: 0 }
        const good = snapshotMessage(author, { docId, parent: snapshot, clocks })
        const forged = resign(author, good, { parentSnapshotProof: snapshot.publicData.parentSnapshotProof })
        client.send(forged)
        assert.deepStrictEqual(yield* client.next("snapshot-save-failed"), { type: "snapshot-save-failed" })
        client.send(resign(author, good, { snapshotId: refSnapshotId }))
        yield* client.next("snapshot-save-failed")
        client.send(resign(author, good, { docId: "another-document" }))
        assert.deepStrictEqual(yield* client.next("snapshot-save-failed"), { type: "snapshot-save-failed" })
        client.send(good)
        yield* client.next("snapshot-saved")

        // A second first snapshot, and a snapshot whose parent was replaced.
        client.send(snapshotMessage(late, { docId }))
        const outdated = yield* client.next("snapshot-save-failed")
        assert.deepStrictEqual(outdated["snapshot"], JSON.parse(JSON.stringify(good)))
        client.send(snapshotMessage(late, { docId, parent: snapshot, clocks }))
        const behind = yield* client.next("snapshot-save-failed")
        assert.deepStrictEqual(behind["snapshot"], JSON.parse(JSON.stringify(good)))
        // The client was sent the newer snapshot already: it needs no proof chain up to it.
        assert.deepStrictEqual(behind["snapshotProofChain"] ?? [], [])
      })
  )
})
