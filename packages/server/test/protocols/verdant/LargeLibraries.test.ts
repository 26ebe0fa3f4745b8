/** A library with 100,000 objects and 200,000 operations: it is compacted, written and read in slices of bounded work. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, HashMap, Layer, Result } from "effect"
import { makeLargeLibrary } from "#test-support/verdant/largeLibrary"
import { makeReplica, set } from "#test-support/verdant/Replica"
import * as MemoryEventLog from "../../../src/adapters/MemoryEventLog.ts"
import { LibraryId } from "../../../src/domain/Ids.ts"
import type { StreamEvent } from "../../../src/domain/Stream.ts"
import { merge } from "../../../src/domain/verdant/Compaction.ts"
import { ReplicaId } from "../../../src/domain/verdant/Events.ts"
import { decodeOperation } from "../../../src/domain/verdant/model/Operation.ts"
import { decodeMerged } from "../../../src/domain/verdant/model/PayloadCodec.ts"
import { entityOf, type LibraryState } from "../../../src/domain/verdant/State.ts"
import { EventLog } from "../../../src/ports/EventLog.ts"
import { Signals } from "../../../src/ports/Signals.ts"
import { compactLibrary } from "../../../src/protocols/verdant/LibraryCompaction.ts"
import { LibraryRooms, libraryKey } from "../../../src/protocols/verdant/Rooms.ts"
import { readLibrary } from "../../../src/protocols/verdant/readLibrary.ts"
import { Committer } from "../../../src/rooms/Committer.ts"
import { Openings } from "../../../src/rooms/Openings.ts"
import { Quotas } from "../../../src/rooms/Quotas.ts"

const OBJECTS = 100_000

/** The most that one event merges or holds: each object has two operations of some 150 characters. */
const [MAX_OPERATIONS, MAX_CHARACTERS] = [1000, 160 * 1024]

it.live("is compacted and written in slices of bounded work, between which other commands are stored", () =>
  Effect.gen(function* () {
    const key = libraryKey(LibraryId.make("large"))
    const replica = makeReplica("writer")
    const filled = makeLargeLibrary(key, replica, {
      ...{ userId: "ada", objects: OBJECTS, perEvent: 1000, now: Date.now() }
    })
    const services = yield* Layer.build(
      LibraryRooms.layer().pipe(
        Layer.provide([Committer.layer, Quotas.layer(), Openings.layer()]),
        Layer.provideMerge([MemoryEventLog.layerMemory, Signals.layerNone])
      )
    )
    const log = Context.get(services, EventLog)
    const [first, ...rest] = filled.events
    yield* log.append([{ key, expectedVersion: 0, events: [first!, ...rest] }])
    const room = yield* Context.get(services, LibraryRooms).get(key)
    assert.strictEqual(room.state().operations, 2 * OBJECTS)

    // Another session writes whenever it sees that a slice was stored.
    const slices: Array<StreamEvent> = []
    const stored: Array<StreamEvent> = []
    const author = { replicaId: ReplicaId.make(replica.id), userId: "ada", type: 0 }
    const write = () => {
      const json = replica.operation(`notes/n${slices.length}`, set("seen", slices.length))
      const operations = [{ ...Result.getOrThrow(decodeOperation(json)), owner: null }]
      room.submit({ _tag: "StoreOperations", ...author, operations }, "writer", (outcome) => {
        if (outcome._tag === "Stored") stored.push(outcome.event)
      })
    }
    yield* room.subscribe({
      id: "writer",
      deliver: ({ event }) => {
        if (event.type !== "OperationsMerged" && event.type !== "CheckpointPart") return
        slices.push(event)
        write()
      },
      relay: () => {},
      fail: () => assert.fail("the room failed")
    })
    yield* compactLibrary(room, filled.state.watermark!)

    const versions = new Set(stored.map(({ version }) => version))
    for (const { version } of slices) assert.isTrue(versions.has(version + 1), `nothing came after ${version}`)
    const merges = slices.filter(({ type }) => type === "OperationsMerged")
    for (const { version } of slices) {
      const [placed] = yield* log.read(key, { after: version - 1, limit: 1 })
      assert.isAtMost(placed!.payload!.length, MAX_CHARACTERS)
    }
    let merged = 0
    for (const { version } of merges) {
      const [placed] = yield* log.read(key, { after: version - 1, limit: 1 })
      const operations = decodeMerged(placed!.payload!).reduce((sum, [, count]) => sum + count, 0)
      assert.isAtMost(operations, MAX_OPERATIONS)
      merged += operations
    }
    assert.strictEqual(merged, 2 * OBJECTS)

    // The operations that came in between are left.
    const state = room.state()
    assert.deepInclude(state, { operations: stored.length, baselines: OBJECTS, isWhole: false, writing: undefined })
    assertSame(state, filled.state)
    const [summary] = yield* log.streams({ ...key, limit: 1 })
    assert.isAbove(summary!.checkpoint, filled.events.length)
    const { value: opened } = yield* readLibrary(log, key)
    assert.deepInclude(opened, { operations: stored.length, baselines: OBJECTS, version: state.version })
    assertSame(opened, filled.state)
  })
)

/** Asserts that each object's baseline is what its operations in `before` make of it. */
const assertSame = (state: LibraryState, before: LibraryState): void => {
  for (const [oid, { operations }] of HashMap.toEntries(before.entities)) {
    if (entityOf(state, oid)?.baseline?.text !== merge(undefined, operations)?.text) assert.fail(`${oid} differs`)
  }
}
