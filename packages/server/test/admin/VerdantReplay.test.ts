/** Replay of a Verdant library: every event is held to the rules that accepted it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { layerMemory } from "../../src/adapters/MemoryEventLog.ts"
import { replay } from "../../src/admin/Replay.ts"
import { blake2b256 } from "../../src/domain/Blake2b.ts"
import { FileId } from "../../src/domain/Ids.ts"
import { noQuota } from "../../src/domain/Quota.ts"
import { advance, emptyHead, place } from "../../src/domain/Stream.ts"
import { checkpointParts } from "../../src/domain/verdant/Checkpoint.ts"
import { type LibraryEvent, ReplicaId, toNewEvent } from "../../src/domain/verdant/Events.ts"
import { encodeItems, encodeMerged, type Merged } from "../../src/domain/verdant/model/PayloadCodec.ts"
import type { OwnedOperation, StoredBaseline } from "../../src/domain/verdant/model/StoredItems.ts"
import { isEmpty } from "../../src/domain/verdant/State.ts"
import { EventLog } from "../../src/ports/EventLog.ts"
import { ReplicaProgress } from "../../src/protocols/verdant/ReplicaProgress.ts"
import { Signatures } from "../../src/signatures/Signatures.ts"
import { author, given, KEY, NOW, operation, stamp, sync, write } from "../domain/verdant/decisions.ts"

type Library = ReturnType<typeof given>

/** An event that no rule made, and its payload. */
interface Forged {
  readonly event: LibraryEvent
  readonly payload?: Uint8Array
}

const problemsOf = (library: Library, ...forged: ReadonlyArray<Forged>) =>
  Effect.gen(function* () {
    const log = yield* EventLog
    const placed = [...library.stored()]
    for (const { event, payload } of forged) {
      const head = placed.reduce((head, { event }) => advance(head, event), emptyHead)
      const hash = payload === undefined ? "" : blake2b256(payload)
      const next = place(KEY, head, toNewEvent(event, hash), "test", NOW)
      placed.push({ event: next, payload: payload ?? null })
    }
    for (const one of placed) {
      yield* log.append([{ key: KEY, expectedVersion: one.event.version - 1, events: [one] }])
    }
    const { problems } = yield* replay()
    return problems.map(({ detail, problem, version }) => `${version} ${problem}: ${detail}`)
  }).pipe(Effect.provide(Layer.fresh(Layer.mergeAll(layerMemory, Signatures.layerInline))))

/** Versions 1 to 3: the writer stored an operation, the replica joined, the writer stored another. */
const twoReplicas = () =>
  given(sync("writer", 1, { operations: [operation(0)] }), sync("replica", 2), write("writer", operation(3)))

const progressOf = (library: Library) => {
  const progress = new ReplicaProgress()
  for (const id of ["writer", "replica"]) {
    const replica = library.replica(id)
    progress.receive(library.state(), replica, library.state().version)
    progress.promise(replica.id, stamp(9), NOW)
  }
  progress.ripen()
  progress.ripen()
  return { known: progress.snapshot(), evictedContent: progress.evictedContent() }
}

/** Version 4: the watermark is 9. */
const withWatermark = () => {
  const library = twoReplicas()
  library.when({ _tag: "AdvanceCursors" }, progressOf(library))
  return library
}

const evicted = () => given(...[sync("writer", 1, { operations: [operation(0)] }), { _tag: "EvictLibrary" } as const])

const joined = (id: string, fields: Partial<Extract<LibraryEvent, { _tag: "ReplicaJoined" }>> = {}): Forged => ({
  event: { _tag: "ReplicaJoined", ...author(id), reset: true, asOf: stamp(8), ...fields }
})

const storedBy = (
  id: string,
  operations: ReadonlyArray<OwnedOperation>,
  fields: object = {},
  baselines: ReadonlyArray<StoredBaseline> = []
): Forged => ({
  event: {
    ...{ _tag: "OperationsStored", ...author(id), operations: operations.length, baselines: baselines.length },
    ...{ initial: false, wrote: operations.at(-1)?.timestamp ?? null },
    ...fields
  },
  payload: encodeItems({ operations, baselines })
})

const advanced = (fields: object): Forged => ({ event: { _tag: "CursorsAdvanced", ...fields } })
const received = (id: string, version: number) => ({ cursors: { [id]: { received: version } } })

const replicaId = ReplicaId.make("replica")
const stranger = ReplicaId.make("stranger")
const privateOperation = operation(8, { owner: "other" })
const baseline = { oid: "notes/b", timestamp: stamp(1), text: "", owner: null, files: [] }

const refused: ReadonlyArray<readonly [name: string, library: () => Library, forged: Forged, problem: string]> = [
  ["a join of another user's replica", twoReplicas, joined("replica", { userId: "other" }), "another user's"],
  ["a join without a reset of an unknown replica", twoReplicas, joined("new", { reset: false }), "what was true"],
  ["a reset in a library that holds nothing", evicted, joined("new"), "what was true"],
  ["a join that changes nothing", twoReplicas, joined("replica", { reset: false }), "stored before"],
  ["operations of a replica that has not joined", twoReplicas, storedBy("stranger", [operation(8)]), "not joined"],
  [
    "operations of another user's replica",
    twoReplicas,
    storedBy("replica", [operation(8)], { userId: "x" }),
    "another"
  ],
  ["operations that were stored before", twoReplicas, storedBy("writer", [operation(3)]), "stored before"],
  ["one operation twice", twoReplicas, storedBy("writer", [operation(8), operation(8)]), "what was true"],
  ["an operation that its author may not write", twoReplicas, storedBy("replica", [privateOperation]), "may not write"],
  ["an operation below the watermark that was sent again", withWatermark, storedBy("writer", [operation(2)]), "before"],
  ["another newest operation", twoReplicas, storedBy("writer", [operation(8)], { wrote: stamp(9) }), "what was true"],
  [
    "a restoration of a library that holds something",
    twoReplicas,
    storedBy("writer", [operation(8)], {}, [
      { ...baseline, text: `{"oid":"notes/b","timestamp":"${stamp(1)}","snapshot":{}}` }
    ]),
    "what was true"
  ],
  ["receipt of a version that was not there", twoReplicas, advanced(received("replica", 4)), "more than there was"],
  ["receipt of less than the join", twoReplicas, advanced(received("replica", 1)), "less than when it joined"],
  ["progress of an unknown replica", twoReplicas, advanced(received("stranger", 1)), "no replica"],
  ["progress that changes nothing", withWatermark, advanced(received("replica", 3)), "nothing that matters"],
  ["a watermark that fell", withWatermark, advanced({ watermark: stamp(1) }), "the watermark fell"],
  ["a watermark that no replica promised", twoReplicas, advanced({ watermark: stamp(7) }), "no replica promised"],
  [
    "forgetting an unknown replica",
    twoReplicas,
    { event: { _tag: "ReplicaForgotten", replicaId: stranger } },
    "nothing"
  ],
  ["an unknown truant", twoReplicas, { event: { _tag: "ReplicaMadeTruant", replicaId: stranger } }, "nothing to do"],
  ["a restoration that nothing needed", twoReplicas, { event: { _tag: "RestoreLeased", replicaId } }, "the rules make"],
  ["an eviction of nothing", evicted, { event: { _tag: "Evicted" } }, "nothing to do"],
  [
    "the deletion of a file that had references",
    () => {
      const library = twoReplicas()
      const stored = { name: "", type: "", size: 1, hash: blake2b256("x"), blob: "x", userId: "user" }
      library.when({ _tag: "StoreFile", file: { fileId: FileId.make("file"), ...stored } })
      return library
    },
    { event: { _tag: "FilesSwept", orphaned: [], revived: [], deleted: [FileId.make("file")] } },
    "what was true"
  ]
]

describe("replay of a Verdant library", () => {
  for (const [name, library, forged, problem] of refused) {
    it.effect(`reports ${name}`, () =>
      Effect.gen(function* () {
        const built = library()
        assert.deepStrictEqual(yield* problemsOf(library()), [])
        const version = built.state().version + 1
        const [found, ...others] = yield* problemsOf(built, forged)
        assert.isTrue(found?.startsWith(`${version} rule-broken: `), found)
        assert.include(found, problem)
        assert.deepStrictEqual(others, [])
      })
    )
  }

  it.effect("accepts an eviction of a library that waits for its restoration, which older servers wrote", () =>
    Effect.gen(function* () {
      const library = evicted()
      library.when(sync("writer", 4, { since: stamp(1) }))
      assert.deepStrictEqual(library.when({ _tag: "EvictLibrary" }), { refused: "NothingToDo" })
      assert.deepStrictEqual(yield* problemsOf(library, { event: { _tag: "Evicted" } }), [])
    })
  )

  it.effect("accepts events of older servers, which did not remember the users of replicas that left", () =>
    Effect.gen(function* () {
      const forgotten: Forged = { event: { _tag: "ReplicaForgotten", replicaId } }
      assert.deepStrictEqual(yield* problemsOf(twoReplicas(), forgotten, joined("replica", { userId: "another" })), [])
      const old = [{ event: { _tag: "Evicted" } } as const, joined("replica", { userId: "another", reset: false })]
      assert.deepStrictEqual(yield* problemsOf(twoReplicas(), ...old), [])
    })
  )

  it.effect(
    "accepts a sweep of older servers, which did not remember the users of the files, and what came after it",
    () =>
      Effect.gen(function* () {
        const fileId = FileId.make("file")
        const file = { fileId, name: "", type: "", size: 1, hash: blake2b256("x"), blob: "x" }
        const library = twoReplicas()
        library.when({ _tag: "StoreFile", file: { ...file, userId: "ada" } })
        library.when({ _tag: "SweepFiles", keep: -1 })
        const swept: Forged = { event: { _tag: "FilesSwept", orphaned: [], revived: [], deleted: [fileId] } }
        const stored: Forged = { event: { _tag: "FileStored", ...file, userId: "grace" } }
        assert.deepStrictEqual(yield* problemsOf(library, swept, stored), [])
      })
  )

  it.effect("accepts a file that replaced another user's, which older servers allowed", () =>
    Effect.gen(function* () {
      const stored = (userId: string): Forged => ({
        event: {
          ...{ _tag: "FileStored", fileId: FileId.make("f1"), name: "x", type: "text/plain", size: 1 },
          ...{ hash: blake2b256("x"), blob: "blob", userId }
        }
      })
      assert.deepStrictEqual(yield* problemsOf(twoReplicas(), stored("ada"), stored("grace")), [])
    })
  )

  it.effect(
    "accepts what a new replica brought to a library whose objects were all deleted, which older servers took",
    () =>
      Effect.gen(function* () {
        const emptied = () => {
          const library = withWatermark()
          library.when({ _tag: "Compact" }, progressOf(library))
          assert.isTrue(isEmpty(library.state()))
          return library
        }
        const brought = storedBy("new", [operation(1)], { initial: true })
        assert.deepStrictEqual(yield* problemsOf(emptied(), brought), [])
        assert.deepStrictEqual(yield* problemsOf(emptied(), joined("new", { reset: false }), joined("new")), [])
        const leased: Forged = { event: { _tag: "RestoreLeased", replicaId: stranger } }
        assert.deepStrictEqual(yield* problemsOf(emptied(), leased), [])
      })
  )

  it.effect("reports a user who joined with the replica of another user, from before an eviction", () =>
    Effect.gen(function* () {
      const library = twoReplicas()
      library.when({ _tag: "EvictLibrary" })
      assert.deepStrictEqual(yield* problemsOf(library, joined("replica", { userId: "another", reset: false })), [
        "5 rule-broken: the replica is another user's"
      ])
    })
  )

  it.effect("reports a second replica that was asked for a restoration while the first had time", () =>
    Effect.gen(function* () {
      const library = evicted()
      library.when(sync("writer", 4, { since: stamp(1) }))
      const [found] = yield* problemsOf(library, { event: { _tag: "RestoreLeased", replicaId } })
      assert.include(found, "another replica was restoring")
    })
  )

  it.effect("repeats a compaction with what each replica had received, and reports one with another result", () =>
    Effect.gen(function* () {
      const library = withWatermark()
      library.when({ _tag: "Compact" }, progressOf(library))
      const { event, payload } = library.stored().at(-1)!
      assert.strictEqual(event.type, "Folded")
      assert.deepStrictEqual(yield* problemsOf(library), [])

      const forge = (text: string): Forged => ({
        event: { _tag: "Folded", ...(event.data as { before: number; baselines: number; operations: number }) },
        payload: Buffer.from(text)
      })
      const text = Buffer.from(payload!).toString()
      assert.deepStrictEqual(yield* problemsOf(withWatermark(), forge(text)), [])
      const rises = yield* problemsOf(withWatermark(), forge(text.replace(stamp(9), stamp(10))))
      assert.deepStrictEqual(rises, ["5 rule-broken: the payload is not what compaction makes of the library"])
      const left = withWatermark()
      left.when({ _tag: "ForgetReplica", replicaId })
      left.when({ _tag: "Compact" }, progressOf(withWatermark()))
      assert.deepStrictEqual(yield* problemsOf(left), [])
      const again = yield* problemsOf(library, forge(text))
      assert.deepStrictEqual(again.length, 1)
    })
  )

  it.effect("decides a slice of a compaction again, and reports one that merges something else", () =>
    Effect.gen(function* () {
      const merged = (counts: { readonly objects: number; readonly operations: number }, ...slice: Array<Merged>) => ({
        event: { _tag: "OperationsMerged" as const, ...counts },
        payload: encodeMerged(slice)
      })
      const one = { objects: 1, operations: 1 }
      assert.deepStrictEqual(yield* problemsOf(withWatermark(), merged(one, ["notes/a", 1])), [])
      const wrong: ReadonlyArray<readonly [Forged, string]> = [
        [merged({ ...one, operations: 2 }, ["notes/a", 1]), "rule-broken: the event does not say what was true"],
        [merged({ ...one, operations: 9 }, ["notes/a", 9]), "payload-mismatch: the payload is not what its event says"],
        [merged(one, ["notes/b", 1]), "payload-mismatch: the payload is not what its event says"]
      ]
      for (const [forged, problem] of wrong) {
        const [found = "none", ...others] = yield* problemsOf(withWatermark(), forged)
        assert.include(found, problem)
        assert.deepStrictEqual(others, [])
      }
      const early = yield* problemsOf(twoReplicas(), merged(one, ["notes/a", 1]))
      assert.deepStrictEqual(early, ["4 rule-broken: there was nothing to do"])
    })
  )

  it.effect("compares a checkpoint in parts with the library, and reports one that differs, or that lacks a part", () =>
    Effect.gen(function* () {
      const begun = () => {
        const library = withWatermark()
        library.when({ _tag: "BeginCheckpoint" })
        return { library, of: library.state().version, parts: Array.from(checkpointParts(library.state(), 1)) }
      }
      const { library, of, parts } = begun()
      const written = (payload: Uint8Array, part: number): Forged => ({
        event: { _tag: "CheckpointPart", of, part },
        payload
      })
      const ended: Forged = { event: { _tag: "CheckpointEnded", of, parts: parts.length, before: 0 } }
      assert.isAbove(parts.length, 2)
      assert.deepStrictEqual(yield* problemsOf(library, ...parts.map(written), ended), [])
      const changed = parts.map((payload, part) =>
        written(Buffer.from(Buffer.from(payload).toString().replace('"value":3', '"value":4')), part)
      )
      assert.deepStrictEqual(yield* problemsOf(begun().library, ...changed, ended), [
        `${of + parts.length + 1} rule-broken: the checkpoint differs in notes/a`
      ])
      const lacking = yield* problemsOf(begun().library, ...parts.slice(1).map(written), ended)
      assert.isAbove(lacking.length, 0)
    })
  )

  it.effect("takes a library that was evicted and restored for right, and a compaction without a truant replica", () =>
    Effect.gen(function* () {
      const library = withWatermark()
      library.when({ _tag: "MakeTruant", replicaId })
      library.when(write("writer", operation(10)), progressOf(library))
      library.when({ _tag: "Compact" })
      library.when({ _tag: "EvictLibrary" })
      library.when(sync("writer", 11, { since: stamp(10) }))
      library.when(sync("writer", 12, { operations: [operation(0), operation(3), operation(10)] }))
      library.when(sync("replica", 13))
      assert.deepStrictEqual(
        library.stored().map(({ event }) => event.type),
        [
          ...["OperationsStored", "ReplicaJoined", "OperationsStored", "CursorsAdvanced", "ReplicaMadeTruant"],
          ...["OperationsStored", "Folded", "Evicted", "RestoreLeased", "OperationsStored", "ReplicaJoined"]
        ]
      )
      assert.deepStrictEqual(yield* problemsOf(library), [])
    })
  )

  it.effect("takes what was decided under any quota for right", () =>
    Effect.gen(function* () {
      const [raised, lowered] = [
        { ...noQuota, objects: 3 },
        { ...noQuota, objects: 1, replicas: 1 }
      ]
      const library = twoReplicas()
      const made = (n: number, oid: string) => operation(n, { oid, data: { op: "initialize", value: {} } })
      library.when(write("writer", made(4, "notes/b"), made(5, "notes/c")), { quota: raised })
      const deletion = operation(7, { oid: "notes/b", data: { op: "delete" } })
      library.when(write("writer", made(6, "notes/d"), deletion), { quota: lowered })
      library.when(write("writer", operation(8)), { quota: lowered })
      assert.deepStrictEqual(
        library.stored().map(({ event }) => ("operations" in event.data ? event.data.operations : 0)),
        [1, 0, 1, 2, 1, 1]
      )
      assert.deepStrictEqual(yield* problemsOf(library), [])
    })
  )
})
