/** The chain: two stores hold the same stream exactly when their last chain values are equal. */
import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { Hash, LibraryId } from "../../src/domain/Ids.ts"
import {
  advance,
  chainOf,
  EVICTED,
  emptyHead,
  type NewEvent,
  place,
  type StreamEvent,
  type StreamHead,
  type StreamKey,
  streamName
} from "../../src/domain/Stream.ts"
import { hash } from "./secsync/SecsyncModel.ts"

const key: StreamKey = { libraryId: LibraryId.make("library"), streamId: "document" }

const hashed = fc.string().map((text) => Hash.make(hash(text)))
const newEvent: fc.Arbitrary<NewEvent> = fc.record({
  type: fc.constantFrom("SnapshotStored", "UpdateStored", EVICTED),
  data: fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer(), fc.constant(null))),
  payloadHash: fc.oneof(hashed, fc.constant("" as const)),
  checkpoint: fc.boolean()
})
const newEvents = fc.array(newEvent, { minLength: 2, maxLength: 8 })

describe("a stream", () => {
  it("numbers events from 1 without gaps, and begins a generation after each eviction", () => {
    const types = ["SnapshotStored", EVICTED, "SnapshotStored", "UpdateStored", EVICTED]
    const { events, head } = store(types.map((type) => ({ type, data: {}, payloadHash: "", checkpoint: false })))
    assert.deepStrictEqual(
      events.map(({ version, generation }) => [version, generation]),
      [
        [1, 0],
        [2, 0],
        [3, 1],
        [4, 1],
        [5, 1]
      ]
    )
    assert.deepStrictEqual(head, { version: 5, generation: 2, chain: events[4]!.chain })
  })

  it("has a unique name made of library and id", () => {
    assert.strictEqual(streamName(key), "library/document")
    // A library's id holds no slash, so that the first slash ends it.
    assert.throws(() => LibraryId.make("library/document"))
  })
})

describe("the chain", () => {
  it("is BLAKE2b-256 over the previous value and the envelope's canonical JSON", () => {
    const { events } = store([
      { type: "B", data: { z: 1, a: "é" }, payloadHash: "", checkpoint: true },
      { type: "A", data: {}, payloadHash: Hash.make(hash("sealed")), checkpoint: false }
    ])
    const first =
      '{"checkpoint":true,"data":{"a":"é","z":1},"generation":0,"libraryId":"library","origin":"test",' +
      '"payloadHash":"","recordedAt":0,"streamId":"document","type":"B","version":1}'
    const second =
      '{"checkpoint":false,"data":{},"generation":0,"libraryId":"library","origin":"test",' +
      `"payloadHash":"${hash("sealed")}","recordedAt":1,"streamId":"document","type":"A","version":2}`
    assert.strictEqual(events[0]?.chain, hash(first))
    assert.strictEqual(events[1]?.chain, hash(hash(first) + second))
  })

  it("is equal for equal events, in any order of their data's keys, before and after JSON", () => {
    fc.assert(
      fc.property(newEvents, (events) => {
        const { head, events: stored } = store(events)
        const reordered = events.map((event) => ({
          ...event,
          data: Object.fromEntries(Object.entries(event.data).reverse())
        }))
        assert.deepStrictEqual(store(reordered).head, head)
        assert.deepStrictEqual(rechain(JSON.parse(JSON.stringify(stored))), head.chain)
      })
    )
  })

  it("changes with every field of every event", () => {
    fc.assert(
      fc.property(newEvents, fc.nat(), (events, position) => {
        const { events: stored, head } = store(events)
        const at = position % stored.length
        const changes: ReadonlyArray<Partial<StreamEvent>> = [
          { type: `${stored[at]!.type}2` },
          { data: { ...stored[at]!.data, added: 0 } },
          { payloadHash: Hash.make(hash(`not ${stored[at]!.payloadHash}`)) },
          { checkpoint: !stored[at]!.checkpoint },
          { origin: "another" },
          { recordedAt: stored[at]!.recordedAt + 1 },
          { version: stored[at]!.version + 1 },
          { generation: stored[at]!.generation + 1 }
        ]
        const fields = new Set(changes.flatMap((change) => Object.keys(change)))
        assert.sameMembers([...fields, "chain"], Object.keys(stored[at]!), "no field is left out")
        for (const change of changes) {
          assert.notStrictEqual(rechain(stored.with(at, { ...stored[at]!, ...change })), head.chain)
        }
      })
    )
  })

  it("changes with the library and with the id of the stream", () => {
    const { events, head } = store([{ type: "A", data: {}, payloadHash: "", checkpoint: true }])
    assert.notStrictEqual(rechain(events, { ...key, libraryId: LibraryId.make("another") }), head.chain)
    assert.notStrictEqual(rechain(events, { ...key, streamId: "another" }), head.chain)
  })

  it("changes when events are dropped, doubled or swapped, even if they are renumbered", () => {
    fc.assert(
      fc.property(newEvents, fc.nat(), (events, position) => {
        const { events: stored, head } = store(events)
        const at = position % (stored.length - 1)
        const swapped = stored.with(at, stored[at + 1]!).with(at + 1, stored[at]!)
        const dropped = stored.toSpliced(at, 1)
        const doubled = stored.toSpliced(at, 0, stored[at]!)
        for (const other of [swapped, dropped, doubled]) {
          assert.notStrictEqual(rechain(other), head.chain)
          const renumbered = other.map((event, i) => ({ ...event, version: i + 1, recordedAt: i }))
          const isSame = JSON.stringify(renumbered.map(withoutChain)) === JSON.stringify(stored.map(withoutChain))
          assert.strictEqual(rechain(renumbered) === head.chain, isSame)
        }
      })
    )
  })
})

const store = (events: ReadonlyArray<NewEvent>): { events: Array<StreamEvent>; head: StreamHead } => {
  const stored: Array<StreamEvent> = []
  const head = events.reduce((head, event, i) => {
    const placed = place(key, head, event, "test", i)
    stored.push(placed)
    return advance(head, placed)
  }, emptyHead)
  return { events: stored, head }
}

/** Computes the last chain value again from stored events. */
const rechain = (events: ReadonlyArray<StreamEvent>, stream = key): Hash | "" =>
  events.reduce<Hash | "">((previous, event) => chainOf(stream, previous, event), "")

const withoutChain = ({ chain: _, ...event }: StreamEvent) => event
