/** Slow work is done in steps ahead: a merge of a long object, and the reading of a large event. */
import { assert, describe, it } from "@effect/vitest"
import { HashMap, Result } from "effect"
import fc from "fast-check"
import { makeLargeLibrary } from "#test-support/verdant/largeLibrary"
import { makeReplica } from "#test-support/verdant/Replica"
import { LibraryId } from "../../../src/domain/Ids.ts"
import { noQuota } from "../../../src/domain/Quota.ts"
import { allAtOnce } from "../../../src/domain/Steps.ts"
import { advance, emptyHead, type NewEvent, place, type StreamEvent } from "../../../src/domain/Stream.ts"
import { checkpointParts } from "../../../src/domain/verdant/Checkpoint.ts"
import type { LibraryCommand } from "../../../src/domain/verdant/Commands.ts"
import { compact, everything, merge, mergeInSteps } from "../../../src/domain/verdant/Compaction.ts"
import { contextOfLogAlone } from "../../../src/domain/verdant/Context.ts"
import { decide } from "../../../src/domain/verdant/Decide.ts"
import { VERDANT } from "../../../src/domain/verdant/Events.ts"
import { evolve } from "../../../src/domain/verdant/Evolve.ts"
import { mergeableIn } from "../../../src/domain/verdant/Mergeable.ts"
import { longMergesOfSlice } from "../../../src/domain/verdant/Merging.ts"
import { onlyUser } from "../../../src/domain/verdant/model/Authz.ts"
import { decodeBaseline } from "../../../src/domain/verdant/model/Baseline.ts"
import { isBoundedJson } from "../../../src/domain/verdant/model/BoundedJson.ts"
import { decodeOperation } from "../../../src/domain/verdant/model/Operation.ts"
import { storedBaseline } from "../../../src/domain/verdant/model/PayloadCodec.ts"
import type { OwnedOperation } from "../../../src/domain/verdant/model/StoredItems.ts"
import { prepare } from "../../../src/domain/verdant/prepare.ts"
import { entityOf, initial, type LibraryState } from "../../../src/domain/verdant/State.ts"
import { allBatches } from "../../../src/domain/verdant/UnfoldedBatches.ts"
import type { PlacedEvent } from "../../../src/ports/EventLog.ts"

const oid = "items/1"
const at = (tick: number) => `0001loyw3v28a${tick.toString(36).padStart(4, "0")}0000abc`
const operationOf = (data: object, tick: number, authz?: string): OwnedOperation => ({
  ...Result.getOrThrow(decodeOperation({ oid, timestamp: at(tick), data, ...(authz && { authz }) })),
  owner: null
})
const baselineOf = (snapshot: unknown, tick: number, authz?: string) =>
  storedBaseline(Result.getOrThrow(decodeBaseline({ oid, timestamp: at(tick), snapshot, ...(authz && { authz }) })))

describe("a merge in steps", () => {
  const longText = "long ".repeat(200)
  const longObject = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`k${i}`, `${longText}${i}`]))
  const smallPieces = Array.from({ length: 30_000 }, (_, i) => [i % 10])
  const longList = Array.from({ length: 300 }, (_, i) => (i % 3 === 0 ? i : `${longText}${i}`))
  const field = fc.constantFrom("k0", "k7", "new", "7", "__proto__")
  const item = fc.oneof(
    fc.integer({ min: 0, max: 300 }),
    fc.constantFrom(null, "x", `${longText}1`, smallPieces.slice(0, 100))
  )
  const index = fc.integer({ min: 0, max: 320 })
  const data = fc.oneof(
    fc.record({
      op: fc.constant("set"),
      name: field,
      value: fc.jsonValue({ maxDepth: 1 }).filter((value) => isBoundedJson(value))
    }),
    fc.record({ op: fc.constant("remove"), name: field }),
    fc.record({ op: fc.constantFrom("list-push", "list-add", "list-remove"), value: item }),
    fc.record({ op: fc.constantFrom("list-set", "list-insert"), index, value: item }),
    fc.record({ op: fc.constant("list-delete"), index, count: index }),
    fc.record({ op: fc.constant("list-move-by-index"), from: index, to: index }),
    fc.record({ op: fc.constant("touch") }),
    { weight: 1, arbitrary: fc.record({ op: fc.constant("delete") }) },
    {
      weight: 1,
      arbitrary: fc.record({ op: fc.constant("initialize"), value: fc.constantFrom({}, [], longObject, smallPieces) })
    }
  )
  const before = fc.option(fc.constantFrom(longObject, longList, {}, []), { nil: undefined })
  const authz = fc.constantFrom(undefined, onlyUser("ada"))

  it("gives what a merge at once gives, and is found by it", () => {
    fc.assert(
      fc.property(
        before,
        authz,
        fc.nat(3),
        fc.array(data, { minLength: 1, maxLength: 12 }),
        (snapshot, authz, tick, all) => {
          // The baseline may include the first operations.
          const baseline = snapshot === undefined ? undefined : baselineOf(snapshot, tick, authz)
          const operations = all.map((data, i) => operationOf(data, i + 1))
          const expected = merge(baseline, operations)
          allAtOnce(mergeInSteps(baseline, operations))
          assert.deepStrictEqual(merge(baseline, operations), expected)
          assert.strictEqual(merge(baseline, operations), merge(baseline, operations))
          // Of fewer operations, and after another baseline, it is another merge.
          const fewer = operations.slice(1)
          assert.deepStrictEqual(merge(baseline, fewer), merge(baseline && { ...baseline }, fewer))
        }
      ),
      { numRuns: 200 }
    )
  })

  it("is in many steps, and is the one that the next slice of a compaction decides", () => {
    const key = { libraryId: LibraryId.make("notes"), streamId: VERDANT }
    const replica = makeReplica("writer")
    const { state: filled } = makeLargeLibrary(key, replica, {
      userId: "ada",
      objects: 3,
      perEvent: 1,
      now: Date.now()
    })
    const context = { ...contextOfLogAlone({ now: Date.now(), truancy: Number.POSITIVE_INFINITY }), quota: noQuota }
    const long = Object.fromEntries(Array.from({ length: 4000 }, (_, i) => [`field ${i}`, `${longText}`.slice(0, 100)]))
    const entity = entityOf(filled, "notes/n0")!
    const baseline = { ...baselineOf(long, 0), oid: "notes/n0" }
    const state = { ...filled, entities: HashMap.set(filled.entities, "notes/n0", { ...entity, baseline }) }
    const mergeable = mergeableIn(state, { isTruant: () => false })!
    const oids = ["notes/n0", "notes/n1", "notes/n2"]
    assert.isAtLeast([...longMergesOfSlice(state, mergeable, oids)!.steps()].length, 20)
    const prepared = merge(baseline, entity.operations)
    assert.strictEqual(prepared, merge(baseline, entity.operations))
    const { event, payload } = Result.getOrThrow(decide(state, { _tag: "Merge", oids }, context))
    const placed = { ...place(key, emptyHead, event, "test", 0), version: state.version + 1 }
    assert.strictEqual(entityOf(evolve(state, placed, payload), "notes/n0")?.baseline, prepared)

    // Another process prepares by the event.
    const elsewhere = {
      ...state,
      entities: HashMap.set(state.entities, "notes/n0", { ...entity, baseline: { ...baseline } })
    }
    assert.isAtLeast([...prepare(elsewhere, placed, payload)!.steps()].length, 20)
    assert.deepStrictEqual(entityOf(evolve(elsewhere, placed, payload), "notes/n0")?.baseline, prepared)
  })
})

/** The state with its collections as lists. */
const shown = (state: LibraryState) => ({
  ...state,
  entities: new Map(HashMap.toEntries(state.entities)),
  batches: Array.from(allBatches(state.batches)),
  fileReferences: new Map(HashMap.toEntries(state.fileReferences))
})

describe("a library that one event holds", () => {
  it("is read in many steps, and is the same as at once", () => {
    const key = { libraryId: LibraryId.make("notes"), streamId: VERDANT }
    const replica = makeReplica("writer")
    const { state } = makeLargeLibrary(key, replica, { userId: "ada", objects: 2000, perEvent: 90, now: Date.now() })
    // The operations from here on stay, and so do those of the objects behind.
    let merged = 0
    const {
      baselines,
      operations,
      payload: made
    } = compact(state, {
      isTruant: () => false,
      portion: (entity, mergeable) => (merged++ < 1000 ? everything(entity, mergeable) : 1)
    })!
    assert.isAtLeast(operations, 1000)
    const event: StreamEvent = {
      ...place(
        key,
        emptyHead,
        { type: "Folded", data: { before: 1, baselines, operations }, payloadHash: "" as never, checkpoint: true },
        "test",
        0
      ),
      version: state.version + 1
    }
    const [payload, again] = [Uint8Array.from(made), Uint8Array.from(made)]
    assert.isAtLeast([...prepare(initial, event, payload)!.steps()].length, 30)
    assert.deepStrictEqual(shown(evolve(initial, event, payload)), shown(evolve(initial, event, again)))
    assert.deepInclude(evolve(state, event, payload), { operations, baselines, version: event.version })
  })
})

describe("many operations that one event holds", () => {
  it("are read in many steps, and are the same as at once", () => {
    const key = { libraryId: LibraryId.make("notes"), streamId: VERDANT }
    const filling = { userId: "ada", objects: 2000, perEvent: 2000, now: Date.now() }
    const { events } = makeLargeLibrary(key, makeReplica("writer"), filling)
    const stored = events.filter(({ event }) => event.type === "OperationsStored")
    let [state, again] = [initial, initial]
    for (const { event, payload } of stored) {
      const [prepared, bare] = [Uint8Array.from(payload!), Uint8Array.from(payload!)]
      assert.isAtLeast([...prepare(state, event, prepared)!.steps()].length, 8)
      state = evolve(state, event, prepared)
      again = evolve(again, event, bare)
    }
    assert.strictEqual(state.operations, 4000)
    assert.deepStrictEqual(shown(state), shown(again))
    assert.isUndefined(prepare(state, stored[0]!.event, new Uint8Array(100)))
  })
})

describe("events that came while a checkpoint in parts was written", () => {
  it("are applied in many steps, and give the same as at once", () => {
    const key = { libraryId: LibraryId.make("notes"), streamId: VERDANT }
    const filling = { userId: "ada", objects: 2000, perEvent: 100, now: Date.now() }
    const filled = makeLargeLibrary(key, makeReplica("writer"), filling).events
    const context = { ...contextOfLogAlone({ now: Date.now(), truancy: Number.POSITIVE_INFINITY }), quota: noQuota }
    let [head, state] = [emptyHead, initial]
    const log: Array<PlacedEvent> = []
    const add = (event: NewEvent, payload: Uint8Array | null) => {
      const placed = { event: place(key, head, event, "test", filling.now), payload }
      head = advance(head, placed.event)
      state = evolve(state, placed.event, payload)
      log.push(placed)
    }
    const submit = (command: LibraryCommand) => {
      const { event, payload } = Result.getOrThrow(decide(state, command, context))
      add(event, payload)
    }
    const half = filled.length / 2
    for (const { event, payload } of filled.slice(0, half)) add(event, payload)
    const before = log.length
    submit({ _tag: "BeginCheckpoint" })
    const of = head.version
    const parts = [...checkpointParts(state)]
    for (const { event, payload } of filled.slice(half)) add(event, payload)
    for (const [part, payload] of parts.entries()) submit({ _tag: "WriteCheckpointPart", of, part, payload })
    submit({ _tag: "EndCheckpoint", of, parts: parts.length })

    const { event: ended } = log.at(-1)!
    const read = () =>
      log.slice(before, -1).reduce((state, { event, payload }) => evolve(state, event, payload), initial)
    const [opening, bare] = [read(), read()]
    assert.isAtLeast([...prepare(opening, ended, null)!.steps()].length, half - 1)
    const opened = evolve(opening, ended, null)
    // The steps made it.
    assert.strictEqual(evolve(opening, ended, null).entities, opened.entities)
    assert.deepStrictEqual(shown(opened), shown(evolve(bare, ended, null)))
    assert.strictEqual(opened.operations, state.operations)
    assert.isUndefined(prepare(state, ended, null))
  })
})
