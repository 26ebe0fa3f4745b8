/** What a connection is told, frame by frame. */
import { assert, describe, it } from "@effect/vitest"
import { Array, Effect } from "effect"
import { connectRaw, type ServerFrame } from "#test-support/clients/RawSecsync"
import { startDocument } from "#test-support/secsync/startDocument"
import { startMemoryServer } from "#test-support/servers/TestServer"
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

describe("Session", () => {
  it.live("an unknown document is empty, and nothing is written for it", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer()
      const options = { url: server.url, documentId: crypto.randomUUID(), token: yield* server.token("library") }
      const { first } = yield* connectRaw(options)
      assert.deepStrictEqual(first, { type: "document", updates: [] })
      assert.deepStrictEqual(yield* server.log.libraries({ limit: 10 }), [])
    })
  )

  it.live("an author whose acknowledgement was lost sends the same again: acknowledged again, stored once", () =>
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

  it.live(
    "an author that sends other changes under a clock that is stored is asked for all it has, also once that is old",
    () =>
      Effect.gen(function* () {
        const server = yield* startMemoryServer()
        const { author, client, docId, options, refSnapshotId, snapshot } = yield* startDocument(server)
        const another = makeAuthor()
        const other = yield* connectRaw(options)
        const second = snapshotMessage(another, { docId, parent: snapshot })
        other.send(second)
        yield* client.next("snapshot")
        const current = second.publicData.snapshotId
        // The refusal has the client take back all that is on its way, also what is stored meanwhile.
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
        // What continues it is on the client's list.
        client.send(updateMessage(author, { docId, refSnapshotId: current, clock: 1 }))
        assert.isFalse((yield* client.next("update-save-failed"))["requiresNewSnapshot"])
      })
  )

  it.live("a client that knows several authors' clocks is sent exactly what it misses of each", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer()
      const { client, docId, options, refSnapshotId } = yield* startDocument(server)
      const [a, b, c] = [makeAuthor(), makeAuthor(), makeAuthor()]
      // Interleaved, so that an author's older update comes after another's newer one.
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
      // Clocks that make no sense are as good as none.
      for (const clocks of ["", "null", "[]", '{"__proto__":1}', `{"${a.pubKey}":-1}`, "%7B", "%ff"]) {
        const odd = yield* connectRaw({
          ...options,
          query: `&mode=delta&knownSnapshotId=${refSnapshotId}&knownSnapshotUpdateClocks=${clocks}`
        })
        assert.lengthOf(clocksOf(odd.first), written.length, clocks)
      }
    })
  )

  it.live("a client that knows an ancestor is sent the snapshots that lead from it, oldest first", () =>
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

  it.live("what others write arrives with every signed field, and nothing that was for the server", () =>
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
      // Nobody is sent what they wrote.
      yield* client.next("snapshot-saved")
      assert.deepStrictEqual(
        client.frames.map(({ type }) => type),
        ["document", "snapshot-saved", "ephemeral-message", "update-saved", "snapshot-saved"]
      )
      assert.deepStrictEqual((yield* connectRaw(options)).first["snapshot"], wire(next))
    })
  )

  it.live("a burst is answered in its order; what follows a gap is refused and does not count", () =>
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

  it.live("refused snapshots: outdated, missing updates, forged proof, used id, another document's", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer()
      const { author, client, docId, refSnapshotId, snapshot } = yield* startDocument(server)
      const [other, late] = [makeAuthor(), makeAuthor()]
      for (const writer of [author, other]) {
        client.send(updateMessage(writer, { docId, refSnapshotId, clock: 0 }))
        yield* client.next("update-saved")
      }
      // Of the two updates it knows one.
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

      // A second first snapshot, and one of a parent that was replaced.
      client.send(snapshotMessage(late, { docId }))
      const outdated = yield* client.next("snapshot-save-failed")
      assert.deepStrictEqual(outdated["snapshot"], JSON.parse(JSON.stringify(good)))
      client.send(snapshotMessage(late, { docId, parent: snapshot, clocks }))
      const behind = yield* client.next("snapshot-save-failed")
      assert.deepStrictEqual(behind["snapshot"], JSON.parse(JSON.stringify(good)))
      // The connection was told of the newer one: its client checks no lineage that ends there.
      assert.deepStrictEqual(behind["snapshotProofChain"] ?? [], [])
    })
  )
})
