/** Writes by the server: the operations of a change, and what a library takes of them. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as fc from "fast-check"
import { noQuota } from "../../../src/domain/Quota.ts"
import type { ChangeDocument } from "../../../src/domain/verdant/Commands.ts"
import { changeProblem, type DocumentChange } from "../../../src/domain/verdant/DocumentChange.ts"
import { patchOf } from "../../../src/domain/verdant/model/Operation.ts"
import { decodeItems } from "../../../src/domain/verdant/model/PayloadCodec.ts"
import { SERVER_REPLICA } from "../../../src/domain/verdant/ServerWrites.ts"
import { documentOwner } from "../../../src/domain/verdant/State.ts"
import { documentSnapshot } from "../../../src/domain/verdant/views/DocumentSnapshot.ts"
import { given, NOW, operation, stamp, sync, write } from "./decisions.ts"

const change = (id: string, change: DocumentChange | null): ChangeDocument => ({
  ...{ _tag: "ChangeDocument", root: `notes/${id}` as never, change }
})
const make = (n: number, id: string, owner: string | null = null) =>
  operation(n, { oid: `notes/${id}`, owner, data: { op: "initialize", value: { text: "from a client" } } })

/** A library with the document a. */
const library = () => {
  const { stored, ...rest } = given(sync("writer", 1, { operations: [make(0, "a")] }))
  const view = (id: string) => Result.getOrThrow(documentSnapshot(rest.state(), "notes", id))
  /** The operations of the newest event. */
  const written = () =>
    decodeItems(stored().at(-1)!.payload!).operations.map((operation) => ({
      oid: operation.oid,
      patch: patchOf(operation),
      timestamp: operation.timestamp
    }))
  return { ...rest, stored, view, written }
}

const patchesOf = (written: ReadonlyArray<{ readonly patch: { readonly op: string } }>) =>
  written.map(({ patch }) => patch.op)

describe("a change of a document by the server", () => {
  it("makes a document of its fields, with an entity for each object and list, parts first", () => {
    const { view, when, written } = library()
    const set = { id: "b", tags: ["x", null, false], author: { name: "Ada", links: [{ url: "u" }] }, note: undefined }
    when(change("b", { set }))
    const { note: _, ...expected } = set
    assert.deepStrictEqual(view("b"), expected)
    assert.deepStrictEqual(patchesOf(written()), Array(5).fill("initialize"))
    assert.strictEqual(written().at(-1)?.oid, "notes/b")
    assert.strictEqual(new Set(written().map(({ oid }) => oid)).size, 5)
  })

  it("sets only the fields that differ, also within objects, and leaves others as they are", () => {
    const { view, when, written } = library()
    when(change("a", { set: { look: { color: "red", size: 1 }, n: 1 } }))
    when(change("a", { set: { n: 1, look: { color: "blue" } } }))
    assert.deepStrictEqual(view("a"), { text: "from a client", look: { color: "blue", size: 1 }, n: 1 })
    assert.deepStrictEqual(patchesOf(written()), ["set"])
    assert.deepStrictEqual(when(change("a", { set: { n: 1, look: { size: 1 } } })), { refused: "NothingNew" })
  })

  it("writes an item more in a list as a push, and one in the middle as an insertion", () => {
    const { view, when, written } = library()
    when(change("a", { set: { tags: ["x", "y"], parts: [{ n: 1 }, { n: 2 }] } }))
    when(change("a", { set: { tags: ["x", "y", "z"] } }))
    assert.deepStrictEqual(patchesOf(written()), ["list-push"])
    when(change("a", { set: { parts: [{ n: 1 }, { n: 1.5 }, { n: 2 }] } }))
    assert.deepStrictEqual(patchesOf(written()), ["initialize", "list-insert"])
    when(change("a", { set: { parts: [{ n: 1 }, { n: 2 }] } }))
    assert.deepStrictEqual(patchesOf(written()), ["list-remove", "delete"])
    when(change("a", { set: { parts: [{ n: 1 }, { n: 3 }] } }))
    assert.deepStrictEqual(patchesOf(written()), ["set"])
    assert.deepStrictEqual(view("a"), { text: "from a client", tags: ["x", "y", "z"], parts: [{ n: 1 }, { n: 3 }] })
  })

  it("removes fields by name and by path, with what they held", () => {
    const { view, when, written } = library()
    when(change("a", { set: { labels: { urgent: { by: "ada" }, home: true }, note: "n" } }))
    when(change("a", { remove: ["note", ["labels", "urgent"], ["labels", "absent"], "absent"] }))
    assert.deepStrictEqual(patchesOf(written()), ["remove", "remove", "delete"])
    assert.deepStrictEqual(view("a"), { text: "from a client", labels: { home: true } })
  })

  it("deletes a document with all its parts", () => {
    const { view, when, written } = library()
    when(change("b", { set: { tags: [{ n: 1 }], look: {} } }))
    when(change("b", null))
    assert.deepStrictEqual(patchesOf(written()), Array(4).fill("delete"))
    assert.isUndefined(view("b"))
    assert.deepStrictEqual(when(change("b", null)), { refused: "NothingNew" })
    assert.deepStrictEqual(when(change("c", null)), { refused: "NothingNew" })
  })

  it("keeps a private document private, and makes one for a user", () => {
    const { state, stored, when } = library()
    when(write("writer", make(2, "diary", "user")))
    when(change("diary", { set: { parts: [{}] } }))
    assert.deepStrictEqual(
      decodeItems(stored().at(-1)!.payload!).operations.map(({ owner }) => owner),
      ["user", "user", "user"]
    )
    when(change("letter", { set: { id: "letter" }, onlyUser: "ada" }))
    assert.strictEqual(documentOwner(state(), "notes/letter" as never), "ada")
  })

  it("writes a list as a whole that would take more than a thousand operations", () => {
    const { view, when, written } = library()
    const numbers = Array.from({ length: 100_000 }, (_, n) => n)
    when(change("a", { set: { list: [{ n: 1 }, ...numbers] } }))
    const turned = [{ n: 2 }, ...numbers.toReversed()]
    when(change("a", { set: { list: turned } }))
    assert.deepStrictEqual(patchesOf(written()), ["initialize", "initialize", "delete"])
    assert.deepStrictEqual(view("a"), { text: "from a client", list: turned })
    when(change("a", { set: { list: [] } }))
    assert.deepStrictEqual(patchesOf(written()), ["initialize", "delete"])
    assert.deepStrictEqual(view("a"), { text: "from a client", list: [] })
  })

  it("writes an object in a list as a whole that would lose more than a thousand fields", () => {
    const { view, when, written } = library()
    const fields = Object.fromEntries(Array.from({ length: 5000 }, (_, n) => [`field ${n}`, n]))
    when(change("a", { set: { list: [{ ...fields, part: {} }] } }))
    when(change("a", { set: { list: [{ n: 1 }] } }))
    assert.deepStrictEqual(patchesOf(written()), ["initialize", "delete"])
    assert.deepStrictEqual(view("a"), { text: "from a client", list: [{ n: 1 }] })
  })

  it("deletes parts that clients have nested a hundred thousand levels deep", () => {
    const { view, when, written } = library()
    const depth = 100_000
    const oid = (n: number) => `notes/deep${n === 0 ? "" : `:${n}`}`
    const nested = Array.from({ length: depth }, (_, n) =>
      operation(n + 10, {
        oid: oid(n),
        data: { op: "initialize", value: n === depth - 1 ? {} : { in: { "@@type": "ref", id: oid(n + 1) } } }
      })
    )
    when(write("writer", ...nested))
    when(change("deep", null))
    assert.lengthOf(written(), depth)
    assert.isUndefined(view("deep"))
  })

  it("turns any document into any other", () => {
    const json = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 3 }, fc.integer({ max: 3, min: 0 }), fc.constant(null), tie("list"), tie("object")),
      list: fc.array(tie("value"), { maxLength: 5 }),
      object: fc.dictionary(fc.constantFrom("a", "b", "c"), tie("value"), { noNullPrototype: true })
    }))
    fc.assert(
      fc.property(fc.array(json["list"]!, { minLength: 1, maxLength: 4 }), (lists) => {
        const { view, when } = library()
        for (const list of lists) {
          when(change("b", { set: { list } }))
          assert.deepStrictEqual(view("b"), { list })
        }
      })
    )
  })
})

describe("a library that the server writes to", () => {
  it("gets timestamps that rise above all that it holds, in its schema version", () => {
    const { state, when, written } = library()
    when(write("writer", make(7, "c")))
    when(change("a", { set: { n: 1, m: { k: 1 } } }))
    const timestamps = written().map(({ timestamp }) => timestamp)
    assert.deepStrictEqual(timestamps, timestamps.toSorted())
    assert.isTrue(timestamps.every((timestamp) => timestamp > stamp(7) && timestamp.startsWith("0001")))
    assert.strictEqual(state().newest, timestamps.at(-1))
    when(change("a", { set: { n: 2 } }), { now: NOW - 5000 })
    assert.isTrue(written()[0]!.timestamp > timestamps.at(-1)!)
    when(change("a", { set: { n: 3 } }), { now: NOW + 5000 })
    assert.strictEqual(written()[0]!.timestamp.slice(4, 17), `${(NOW + 5000).toString(36).padStart(9, "0")}0000`)
  })

  it("has no replica of the server, which no client can be either", () => {
    const { state, when } = library()
    const then = when(change("a", { set: { n: 1 } }))
    assert.deepInclude("event" in then ? then.event : then, { replicaId: SERVER_REPLICA, userId: "@server" })
    assert.deepStrictEqual(Array.from(state().replicas.keys()), ["writer"])
    assert.deepStrictEqual(when(sync(SERVER_REPLICA, 9, { userId: "@server" })), { refused: "AnothersReplica" })
    assert.deepStrictEqual(when(write(SERVER_REPLICA, make(9, "d"))), { refused: "AnothersReplica" })
  })

  it("refuses it while it is empty, after an eviction, and once it was deleted", () => {
    const set = { set: { id: "a" } }
    assert.deepStrictEqual(given().when(change("a", set)), { refused: "LibraryEmpty" })
    const { when } = library()
    when({ _tag: "EvictLibrary" })
    assert.deepStrictEqual(when(change("a", set)), { refused: "LibraryEmpty" })
    when({ _tag: "DeleteLibrary" })
    assert.deepStrictEqual(when(change("a", set)), { refused: "LibraryDeleted" })
  })

  it("refuses what exceeds its quota, takes deletions, and refuses what is too large or far ahead", () => {
    const { view, when } = library()
    const full = { quota: { ...noQuota, objects: 1, operations: 1 } }
    assert.deepStrictEqual(when(change("b", { set: { id: "b" } }), full), { refused: "QuotaReached" })
    assert.property(when(change("a", null), { quota: { ...noQuota, operations: 8 } }), "event")
    assert.isUndefined(view("a"))
    const text = "x".repeat(5 * 1024 * 1024)
    assert.deepStrictEqual(when(change("b", { set: { text } })), { refused: "TooLarge" })
    assert.deepStrictEqual(when(change("b", { set: { n: 1 } }), { now: NOW - 61_000 }), { refused: "ClockBehind" })
  })
})

describe("a malformed change", () => {
  it("is named", () => {
    const problems: ReadonlyArray<readonly [DocumentChange, string]> = [
      [undefined as never, "it is an object with `set`, `remove` or `onlyUser`, or null"],
      [{ set: { at: new Date() } }, "`set.at` is no JSON"],
      [{ set: { n: Number.NaN } }, "`set.n` is no JSON"],
      [{ set: { list: [undefined] } }, "`set.list.0` is no JSON"],
      [
        { set: { part: { "@@type": "ref", id: "notes/a:1" } } },
        "`set.part` is a reference to an object; write the object itself"
      ],
      [{ remove: [[]] }, "`remove` is a list of names and paths"],
      [{ onlyUser: "" }, "`onlyUser` is a user's id"],
      [
        { set: { objects: Array.from({ length: 10_001 }, (_, n) => ({ n })) } },
        "`set` has more than 20000 objects, lists and fields; write it in several changes"
      ]
    ]
    for (const [change, problem] of problems) assert.strictEqual(changeProblem(change), problem)
    assert.isUndefined(changeProblem({ set: { numbers: Array.from({ length: 1_000_000 }, (_, n) => n) } }))
    assert.isUndefined(changeProblem({ set: { image: { "@@type": "file", id: "f" }, none: undefined } }))
  })
})
