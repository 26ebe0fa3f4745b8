/** A library that has reached its quota: which commands still become events. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { defaultQuota, noQuota, type QuotaChange } from "../../../src/domain/Quota.ts"
import type { LibraryCommand } from "../../../src/domain/verdant/Commands.ts"
import { compact, everything } from "../../../src/domain/verdant/Compaction.ts"
import { isRefused } from "../../../src/domain/verdant/Decide.ts"
import { ReplicaId } from "../../../src/domain/verdant/Events.ts"
import { useOf } from "../../../src/domain/verdant/LibraryQuota.ts"
import { decodeBaseline } from "../../../src/domain/verdant/model/Baseline.ts"
import { storedBaseline } from "../../../src/domain/verdant/model/PayloadCodec.ts"
import { given, NOW, operation, stamp, sync, type Then, TRUANCY, write } from "./decisions.ts"

const under = (change: QuotaChange) => ({ quota: { ...noQuota, ...change } })
const at = (n: number, oid: string, data: object) => operation(n, { oid, data })
const make = (n: number, oid: string) => at(n, oid, { op: "initialize", value: {} })
const set = (n: number, oid: string, value: unknown = n) => at(n, oid, { op: "set", name: "x", value })
const remove = (n: number, oid: string) => at(n, oid, { op: "delete" })
const baseline = (oid: string) =>
  storedBaseline(Result.getOrThrow(decodeBaseline({ oid, timestamp: stamp(0), snapshot: {} })))

const isNothing = (then: Then, refusal = "NothingNew") => assert.deepStrictEqual(then, { refused: refusal })
const isStored = (then: Then, operations: number) =>
  assert.deepInclude("event" in then ? then.event : then, { _tag: "OperationsStored", operations })

/** A library with the objects a and b. */
const library = () => given(sync("writer", 1, { operations: [make(0, "notes/a"), make(1, "notes/b")] }))

describe("a library with as many objects as its quota", () => {
  const full = under({ objects: 2 })

  it("refuses a new object, and takes changes and deletions of those that it has", () => {
    const { state, when } = library()
    isNothing(when(write("writer", make(2, "notes/c")), full))
    isNothing(when(write("writer", remove(3, "notes/c")), full))
    isStored(when(write("writer", set(4, "notes/a")), full), 1)
    isStored(when(write("writer", remove(5, "notes/b")), full), 1)
    assert.isTrue(isRefused(state(), make(2, "notes/c"), "user"))
    assert.isFalse(isRefused(state(), set(4, "notes/a"), "user"))
  })

  it("takes only the deletions of a message with a new object, so that no object refers to a refused one", () => {
    const { state, when } = library()
    const reference = set(3, "notes/a", { "@@type": "ref", id: "notes/a:x" })
    isStored(when(write("writer", make(2, "notes/a:x"), reference, remove(4, "notes/b")), full), 1)
    assert.strictEqual(useOf(state()).objects, 2)
  })

  it("takes a new object once the quota is raised, or a deleted one is compacted", () => {
    const { state, when } = library()
    isStored(when(write("writer", make(2, "notes/c")), under({ objects: 3 })), 1)
    when(write("writer", remove(3, "notes/b"), remove(4, "notes/c")))
    isNothing(when(write("writer", make(5, "notes/d")), under({ objects: 3 })))
    const folded = compact({ ...state(), watermark: "zzzz" }, { isTruant: () => true, portion: everything })
    assert.strictEqual(folded?.baselines, 1)
  })

  it("above a quota that was lowered, changes what it has and loses nothing", () => {
    const { state, when } = library()
    isStored(when(write("writer", set(2, "notes/a")), under({ objects: 1 })), 1)
    isNothing(when(write("writer", make(3, "notes/c")), under({ objects: 1 })))
    assert.strictEqual(useOf(state()).objects, 2)
  })

  it("takes operations of an offline client up to the quota, and refuses them all beyond it", () => {
    const { when } = library()
    const offline = (...operations: ReadonlyArray<ReturnType<typeof make>>): LibraryCommand =>
      sync("writer", 9, { since: stamp(1), operations })
    isNothing(when(offline(make(2, "notes/c"), make(3, "notes/d"), set(4, "notes/a")), under({ objects: 3 })))
    isStored(when(offline(make(2, "notes/c"), make(3, "notes/d")), under({ objects: 4 })), 2)
  })
})

describe("a library whose documents refer to 20,000 files, twice the quota of a server", () => {
  const file = (id: string) => ({ "@@type": "file", id })
  const referred = Array.from({ length: 20_000 }, (_, i) => file(`f${i}`))
  // An operator who allows fewer files stops uploads alone.
  const full = under({ files: 1 })

  it("refuses a reference to a further one, and takes those to the same ones and everything else", () => {
    const { when } = given(sync("writer", 1, { operations: [make(0, "notes/a")] }))
    isStored(when(write("writer", set(1, "notes/a", referred)), full), 1)
    isNothing(when(write("writer", set(2, "notes/a", file("further"))), full))
    isStored(when(write("writer", set(3, "notes/a", file("f2"))), full), 1)
    isStored(when(write("writer", set(4, "notes/a"), remove(5, "notes/a")), full), 2)
    isStored(when(write("writer", set(6, "notes/a", file("further"))), under({ files: 10_001 })), 1)
  })
})

describe("an empty library", () => {
  const brings = sync("writer", 9, { operations: [make(1, "notes/a")], baselines: [baseline("notes/b")] })

  it("takes all that a client brings, or only its replica", () => {
    const { state, when } = given()
    const joined = when(brings, under({ objects: 1 }))
    assert.deepInclude("event" in joined ? joined.event : joined, { _tag: "ReplicaJoined", reset: false })
    isNothing(when(brings, under({ bytes: 10 })), "QuotaReached")
    assert.deepInclude(useOf(state()), { objects: 0, replicas: 1, bytes: 0 })
    isStored(when(brings, under({ objects: 2 })), 1)
  })

  it("asks a client of which it took nothing for everything, and takes none of its later changes alone", () => {
    const { replica, when } = given()
    when(brings, under({ objects: 1 }))
    isNothing(when(sync("writer", 10, { since: replica("writer").asOf }), under({ objects: 1 })), "RestoreAsked")
    isNothing(when(write("writer", make(11, "notes/c")), under({ objects: 1 })), "QuotaReached")
    isStored(when(brings, under({ objects: 2 })), 1)
  })

  it("leaves a client of which it took nothing what it has, once another one has filled the library", () => {
    const { replica, when } = given()
    when(brings, under({ objects: 1 }))
    when(sync("other", 10, { operations: [make(10, "notes/c")] }))
    isNothing(when(sync("writer", 11, { since: replica("writer").asOf }), under({ objects: 1 })))
    isNothing(when({ ...brings, since: null } as LibraryCommand, under({ objects: 1 })))
  })

  it("counts an operation on a restored baseline once", () => {
    const { when } = given()
    const same = sync("writer", 9, { operations: [set(1, "notes/b")], baselines: [baseline("notes/b")] })
    isStored(when(same, under({ objects: 1 })), 1)
  })
})

describe("a library with as many operations or bytes as its quota", () => {
  it("takes only deletions, and of those an eighth more", () => {
    const quota = under({ operations: 8 })
    const { when } = library()
    isStored(when(write("writer", ...[2, 3, 4, 5, 6, 7].map((n) => set(n, "notes/a"))), quota), 6)
    isNothing(when(write("writer", set(8, "notes/a")), quota))
    isStored(when(write("writer", set(9, "notes/a"), remove(10, "notes/a")), quota), 1)
    isNothing(when(write("writer", remove(11, "notes/b")), quota))
  })

  it("counts the bytes that its log holds", () => {
    const { state, stored, when } = library()
    const sizes = () => stored().reduce((sum, { payload }) => sum + (payload?.length ?? 0), 0)
    assert.strictEqual(useOf(state()).bytes, sizes())
    const quota = under({ bytes: sizes() + 300 })
    isNothing(when(write("writer", set(2, "notes/a", "é".repeat(150))), quota))
    isStored(when(write("writer", set(3, "notes/a", "e".repeat(150))), quota), 1)
    assert.strictEqual(useOf(state()).bytes, sizes())
  })
})

describe("a library with as many replicas as its quota", () => {
  it("refuses another one, and answers those that it has", () => {
    const { state, when } = library()
    isNothing(when(sync("other", 5), under({ replicas: 1 })), "QuotaReached")
    isNothing(when(sync("writer", 5, { since: stamp(1) }), under({ replicas: 1 })))
    assert.strictEqual(useOf(state()).replicas, 1)
    assert.property(when(sync("other", 6), under({ replicas: 2 })), "event")
  })
})

describe("a library with as many replicas as its quota, some of them truant", () => {
  const full = under({ replicas: 3 })
  const later = (seen: Readonly<Record<string, number>> = {}) => ({
    ...full,
    now: NOW + TRUANCY + 1,
    known: new Map(Object.entries(seen).map(([id, seen]) => [ReplicaId.make(id), { ...unknown, seen }]))
  })
  const unknown = { received: undefined, promise: undefined, offer: undefined, isUnanswered: false, asked: undefined }
  const forgets = (then: Then, replicaId: string) =>
    assert.deepInclude("event" in then ? then.event : then, {
      _tag: "ReplicaForgotten",
      replicaId: ReplicaId.make(replicaId)
    })

  it("forgets the one that was silent for longest, and takes the new one in its place", () => {
    const { state, when } = given()
    for (const [n, id] of ["a", "b", "c"].entries()) when(sync(id, n), { now: NOW - n })
    forgets(when(sync("other", 5), later({ c: NOW + 1 })), "b")
    when(sync("other", 5), later())
    assert.sameMembers(
      Array.from(state().replicas.keys(), (id) => `${id}`),
      ["a", "c", "other"]
    )
  })

  it("forgets one that an operator marked as truant, and none that is heard of", () => {
    const { when } = given(sync("a", 1), sync("b", 2), sync("c", 3))
    isNothing(when(sync("other", 5), full), "QuotaReached")
    when({ _tag: "MakeTruant", replicaId: ReplicaId.make("b") })
    forgets(when(sync("other", 5), full), "b")
  })

  it("forgets none for a sync that is refused anyway", () => {
    const { when } = given(sync("a", 1), sync("b", 2), sync("c", 3))
    isNothing(when(sync("other", 5, { timestamp: `zzzz${stamp(5).slice(4)}` }), later()), "ImplausibleVersion")
  })
})

describe("a library with as many files as its quota", () => {
  const file = (fileId: string, size: number): LibraryCommand => ({
    _tag: "StoreFile",
    file: { fileId: fileId as never, name: "f", type: "t", size, hash: "h".repeat(43) as never, blob: "b", userId: "u" }
  })

  it("refuses another one, and lets a file be replaced", () => {
    const { state, when } = given(file("a", 10), file("b", 20))
    assert.deepInclude(useOf(state()), { files: 2, fileBytes: 30 })
    isNothing(when(file("c", 1), under({ files: 2 })), "QuotaReached")
    isNothing(when(file("c", 11), under({ fileBytes: 40 })), "QuotaReached")
    assert.property(when(file("a", 20), under({ files: 2, fileBytes: 40 })), "event")
    assert.deepInclude(useOf(state()), { files: 2, fileBytes: 40 })
  })
})

it("a quota has a default for every part, which is a whole number", () => {
  for (const part of Object.values(defaultQuota)) assert.isTrue(Number.isSafeInteger(part) && part > 0)
})

describe("a library with as many payload bytes in the log as its quota", () => {
  it("takes only deletions, up to an eighth more", () => {
    const { when } = library()
    const holding = (payloadBytes: number) => ({
      ...under({ payloadBytes: 16_000 }),
      logUse: { events: 1, payloadBytes }
    })
    isStored(when(write("writer", set(2, "notes/a")), holding(15_000)), 1)
    isNothing(when(write("writer", set(3, "notes/a")), holding(16_000)))
    isStored(when(write("writer", remove(4, "notes/a")), holding(16_000)), 1)
    isNothing(when(write("writer", remove(5, "notes/b")), holding(18_000)))
  })
})

describe("a library with as many events as its quota", () => {
  it("takes deletions up to an eighth more, and goes on to be compacted and joined", () => {
    const { state, when } = library()
    for (let n = 0; state().version < 7; n++) isStored(when(write("writer", set(10 + n, "notes/a"))), 1)
    const full = under({ events: 8 })
    isStored(when(write("writer", set(50, "notes/a")), full), 1)
    assert.strictEqual(useOf(state()).events, 8)
    isNothing(when(write("writer", set(51, "notes/a")), full))
    isStored(when(write("writer", remove(52, "notes/a")), full), 1)
    isNothing(when(write("writer", remove(53, "notes/b")), full))
    assert.property(when(sync("newcomer", 60), full), "event")
    assert.property(when({ _tag: "EvictLibrary" }, full), "event")
  })
})
