/** An object that grows without end: what the library accepts it can always read back. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { compact, everything } from "../../../src/domain/verdant/Compaction.ts"
import { decodeBaseline } from "../../../src/domain/verdant/model/Baseline.ts"
import { listSizeOf, opensTooManyHoles, sizeOfBaseline } from "../../../src/domain/verdant/model/EntitySize.ts"
import { decodeOperation } from "../../../src/domain/verdant/model/Operation.ts"
import type { Patch } from "../../../src/domain/verdant/model/Patch.ts"
import { decodeFolded, storedBaseline } from "../../../src/domain/verdant/model/PayloadCodec.ts"
import type { OwnedOperation } from "../../../src/domain/verdant/model/StoredItems.ts"
import type { LibraryState } from "../../../src/domain/verdant/State.ts"
import { given, stamp, sync, type Then, write } from "./decisions.ts"

const MEGA = 1024 * 1024

const patched = (n: number, data: Patch, oid = "notes/a"): OwnedOperation => ({
  ...Result.getOrThrow(decodeOperation({ oid, timestamp: stamp(n), data })),
  owner: null
})

const set = (n: number, name: string, megas: number, oid?: string): OwnedOperation =>
  patched(n, { op: "set", name, value: "x".repeat(megas * MEGA) }, oid)

/** A library with one object, and a replica that may write. */
const library = (value: unknown) => given(sync("writer", 0), write("writer", patched(1, { op: "initialize", value })))

const compacted = (state: LibraryState) =>
  decodeFolded(compact({ ...state, watermark: "zzzz" }, { isTruant: () => true, portion: everything })!.payload)

describe("an object", () => {
  it("that is larger than a client's operation may be is read back after its compaction", () => {
    const { state, when } = library({ a: "x".repeat(2 * MEGA) })
    for (const [i, name] of ["b", "c"].entries()) when(write("writer", set(i + 2, name, 2)))
    assert.isAbove(compacted(state()).baselines[0]!.text.length, 6 * MEGA)
  })

  it("takes operations until it is full, and then only those that take something away", () => {
    const { state, when } = library({ a: "x".repeat(2 * MEGA) })
    for (const [i, name] of ["b", "c"].entries()) isStored(when(write("writer", set(i + 2, name, 2))), 1)
    isRefused(when(write("writer", set(10, "d", 3))))
    isStored(when(write("writer", set(11, "d", 0), set(12, "d", 3), set(13, "e", 0, "notes/b"))), 1)
    isStored(when(write("writer", patched(14, { op: "remove", name: "c" }))), 1)
    isStored(when(write("writer", set(15, "d", 3))), 1)
    assert.isBelow(compacted(state()).baselines[0]!.text.length, 8 * MEGA)
  })

  it("takes values of one field again and again, also late ones", () => {
    const { state, when } = library({})
    for (let n = 10; n < 20; n++) isStored(when(write("writer", set(n, "a", 2))), 1)
    isStored(when(write("writer", set(2, "a", 2))), 1)
    isRefused(when(write("writer", set(3, "b", 3), set(4, "c", 3), set(5, "d", 1))))
    assert.isBelow(compacted(state()).baselines[0]!.text.length, 3 * MEGA)
  })

  it("that is full when a client restores it takes no more", () => {
    const { when } = given()
    const baseline = decodeStored({ oid: "notes/a", timestamp: stamp(0), snapshot: "x".repeat(7 * MEGA) })
    isStored(when(sync("writer", 9, { operations: [set(1, "a", 2), touch(2)], baselines: [baseline] })), 1)
  })
})

describe("a list", () => {
  it("is not made longer than what was put into it by more than 10,000 holes", () => {
    const { state, when } = library([])
    isRefused(when(write("writer", listSet(2, 10_001))))
    isStored(when(write("writer", listSet(3, 10_000))), 1)
    isRefused(when(write("writer", listSet(4, 20_000), patched(5, { op: "set", name: "10002", value: 1 }))))
    isStored(when(write("writer", listSet(6, 10_001))), 1)
    assert.lengthOf(JSON.parse(compacted(state()).baselines[0]!.text).snapshot, 10_002)
  })

  it("takes no more operations that look at all its items than can be compacted in some seconds", () => {
    const { when } = library(Array.from({ length: 1_000_000 }, () => 1))
    const removals = Array.from({ length: 3000 }, (_, n) => patched(n + 10, { op: "list-remove", value: 2 }))
    isStored(when(write("writer", ...removals.slice(0, 900))), 900)
    isRefused(when(write("writer", ...removals.slice(900))))
    isStored(when(write("writer", patched(4000, { op: "list-push", value: 1 }))), 1)
    isStored(when(write("writer", patched(4001, { op: "delete" }))), 1)
  })

  it("takes moves of its items again and again", () => {
    const { when } = library(Array.from({ length: 1000 }, (_, i) => i))
    const moves = Array.from({ length: 20_000 }, (_, i) =>
      patched(i + 10, i % 2 === 0 ? { op: "list-move-by-ref", value: i % 1000, index: 0 } : moveOf(i % 1000))
    )
    isStored(when(write("writer", ...moves)), 20_000)
  })

  it("gets no more holes by its compaction", () => {
    const snapshot = Array.from({ length: 12_000 }, (_, i) => (i < 1000 ? i : null))
    const { items, filled } = listSizeOf(snapshot)!
    const size = sizeOfBaseline(60_000, { items, filled })
    assert.isFalse(opensTooManyHoles(size, { op: "list-set", index: 12_000 }))
    assert.isTrue(opensTooManyHoles(size, { op: "list-set", index: 12_001 }))
  })
})

const moveOf = (from: number): Patch => ({ op: "list-move-by-index", from, to: 0 })
const touch = (n: number) => patched(n, { op: "touch" })
const listSet = (n: number, index: number) => patched(n, { op: "list-set", index, value: 1 })

const decodeStored = (json: unknown) => storedBaseline(Result.getOrThrow(decodeBaseline(json)))

const isRefused = (then: Then) => assert.deepStrictEqual(then, { refused: "NothingNew" })
const isStored = (then: Then, operations: number) =>
  assert.deepInclude("event" in then ? then.event : then, { _tag: "OperationsStored", operations })
