/** Importing the databases of a Verdant server, also malformed ones. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { type ImportVerdantOptions, importVerdant } from "@sealog/server/admin/ImportVerdant"
import { documentSnapshot, libraryInfo } from "@sealog/server/admin/InspectVerdant"
import { replay } from "@sealog/server/admin/Replay"
import { LibraryId } from "@sealog/server/domain/Ids"
import { ReplicaId, VERDANT } from "@sealog/server/domain/verdant/Events"
import { fold } from "@sealog/server/domain/verdant/Evolve"
import { isUpToDate, missedBy } from "@sealog/server/domain/verdant/Missed"
import type { Replica } from "@sealog/server/domain/verdant/State"
import { newestFirst } from "@sealog/server/domain/verdant/UnfoldedBatches"
import { EventLog } from "@sealog/server/ports/EventLog"
import { Context, Effect } from "effect"
import { databasesIn } from "../../packages/cli/src/backends/verdantDatabases.ts"
import { initialize, makeReplica, onlyUser, set } from "../support/verdant/Replica.ts"
import { freshDirectory, openShard, type Shard, writeShard } from "../support/verdant/shards.ts"
import { holdings, type Log, memory, on } from "./support.ts"

const notes = LibraryId.make("notes")
const DAY = 86_400_000
const now = Date.now()

/** Replica a wrote operations 1, 3 and 4, and b wrote operation 2. */
const [a, b] = [makeReplica("a"), makeReplica("b")]
const operations = [
  { replicaId: "a", serverOrder: 1, ...a.operation("item/1", initialize({ id: "1", list: 0 })) },
  { replicaId: "b", serverOrder: 2, ...b.operation("item/1", set("list", 2)) },
  { replicaId: "a", serverOrder: 3, ...a.operation("item/1", set("list", 3)) },
  { replicaId: "a", serverOrder: 4, ...a.operation("item/2", initialize({ id: "2" })) }
]

const library = (shard: Shard): Shard => ({ operations, ...shard })
const replica = (id: string, fields: object = {}) => ({ id, lastSeenWallClockTime: now, ...fields })

const imported = Effect.fnUntraced(function* (log: Log, shard: Shard, options?: ImportVerdantOptions) {
  const directory = yield* freshDirectory
  writeShard(directory, notes, shard)
  const [report] = yield* on(log, importVerdant(databasesIn(directory), options))
  return report!
})

const stateOf = (log: Log) =>
  Effect.map(Context.get(log, EventLog).tail({ libraryId: notes, streamId: VERDANT }), ({ events }) => fold(events))

/** Imports a shard into a fresh log, verifies the log, and returns the library's state. */
const stateAfter = Effect.fnUntraced(function* (shard: Shard, options?: ImportVerdantOptions) {
  const log = yield* memory
  assert.deepInclude(yield* imported(log, shard, options), { outcome: "imported" })
  assert.deepStrictEqual((yield* on(log, replay())).problems, [])
  return yield* stateOf(log)
})

const receivedBy = (state: Effect.Success<ReturnType<typeof stateAfter>>) =>
  Object.fromEntries(Array.from(state.replicas.values(), ({ id, received }) => [id, received]))

describe("an imported library", () => {
  it.effect("is one event that keeps each replica's progress", () =>
    Effect.gen(function* () {
      const state = yield* stateAfter(
        library({
          replicas: [
            replica("a", { clientId: "ada", ackedServerOrder: 4, ackedLogicalTime: operations[3]?.timestamp, type: 1 }),
            replica("b", { clientId: "bob", ackedServerOrder: 2, ackedLogicalTime: operations[1]?.timestamp })
          ]
        })
      )
      assert.deepInclude(state, {
        version: 1,
        checkpoint: 1,
        generation: 0,
        operations: 4,
        baselines: 0,
        foldedUpTo: 0
      })
      const [ada, bob] = ["a", "b"].map((id) => state.replicas.get(ReplicaId.make(id))!) as [Replica, Replica]
      assert.deepInclude(ada, { userId: "ada", type: 1, received: 1, seen: now, wrote: operations[3]!.timestamp })
      assert.deepInclude(ada, { promise: operations[3]!.timestamp, isTruant: false })
      assert.deepInclude(bob, { userId: "bob", type: 0, received: 0, wrote: operations[1]!.timestamp })
      assert.isTrue(isUpToDate(state, ada, 1))
      assert.isFalse(isUpToDate(state, bob, 0))
      // A replica misses the operations of others, whichever position they have in the event.
      const missed = (of: { readonly id: ReplicaId; readonly userId: string }) =>
        missedBy(state, of, 0).map(({ timestamp }) => operations.findIndex((row) => row.timestamp === timestamp) + 1)
      assert.sameMembers(missed(bob), [1, 3, 4])
      assert.sameMembers(missed(ada), [2])
      assert.strictEqual(state.watermark, operations[1]!.timestamp)
    })
  )

  it.effect("has the baselines, the operations and their owners", () =>
    Effect.gen(function* () {
      const log = yield* memory
      const old = a.now(-DAY)
      const secret = {
        ...a.operation("item/3", initialize({ id: "3" }), onlyUser("ada")),
        replicaId: "a",
        serverOrder: 5
      }
      const report = yield* imported(log, {
        operations: [...operations.slice(1, 3), secret],
        baselines: [
          { oid: "item/1", snapshot: { id: "1", list: 0, kept: true }, timestamp: old },
          { oid: "item/4", snapshot: { id: "4" }, timestamp: old, authz: onlyUser("bob") }
        ],
        replicas: [replica("a", { ackedServerOrder: 5 })]
      })
      assert.deepInclude(report, { operations: 3, baselines: 2, replicas: 1, lapsed: 0, malformed: 0 })
      const document = yield* on(log, documentSnapshot(notes, "item", "1"))
      assert.deepStrictEqual(document, { id: "1", list: 3, kept: true })
      const state = yield* stateOf(log)
      assert.deepStrictEqual(
        Array.from(newestFirst(state.batches), ({ operations }) => operations.map(({ owner }) => owner))
          .flat()
          .toSorted(),
        ["ada", null, null]
      )
      assert.include(JSON.stringify(Array.from(state.entities)), '"owner":"bob"')
    })
  )

  it.effect("has the watermark of its replicas, without those that were truant", () =>
    Effect.gen(function* () {
      const at = (days: number) => a.now(-days * DAY)
      const [early, middle, newest] = [at(30), at(5), at(1)]
      const row = (id: string, days: number | null, ackedLogicalTime: string | null, type = 0) => ({
        ...{ id, type, ackedLogicalTime, ackedServerOrder: 4 },
        // The Verdant server stopped long ago, so truancy counts from its last activity.
        lastSeenWallClockTime: days === null ? null : now - (100 + days) * DAY
      })
      const replicas = [
        row("newest", 0, newest),
        row("middle", 5, middle),
        row("away", 8, early),
        row("passive", 0, early, 2),
        row("unknown", 0, null),
        row("unseen", null, early)
      ]
      const watermark = (options?: ImportVerdantOptions, rows = replicas) =>
        Effect.map(stateAfter(library({ replicas: rows }), options), (state) => state.watermark)
      assert.strictEqual(yield* watermark(), middle)
      assert.strictEqual(yield* watermark({ truancy: 2 * DAY }), newest)
      assert.strictEqual(yield* watermark({ truancy: 9 * DAY }), early)
      assert.isNull(yield* watermark({}, replicas.slice(3)))
      assert.isNull(yield* watermark({}, []))
    })
  )

  it.effect("keeps exactly the replicas whose missing operations still exist", () =>
    Effect.gen(function* () {
      const long = { lastSeenWallClockTime: now - 8 * DAY }
      const rows = [4, 3, 2, 1, 0, 5].flatMap((acked) => [
        replica(`here-${acked}`, { ackedServerOrder: acked }),
        replica(`away-${acked}`, { ackedServerOrder: acked, ...long })
      ])
      const received = (shard: Shard) => Effect.map(stateAfter({ replicas: rows, ...shard }), receivedBy)
      const here = { "here-4": 1, "here-3": 0, "here-2": 0, "here-1": 0, "here-0": 0, "here-5": 0 }
      // No operation was ever compacted, so every replica is kept, except one with an order that does not exist.
      assert.deepStrictEqual(yield* received({ operations }), {
        ...{ ...here, "away-4": 1, "away-3": 0, "away-2": 0, "away-1": 0, "away-0": 0 }
      })
      // The second operation is compacted, so a truant replica that lacks it is dropped.
      assert.deepStrictEqual(yield* received({ operations: operations.toSpliced(1, 1) }), {
        ...{ ...here, "away-4": 1, "away-3": 0, "away-2": 0 }
      })
      const { replicas } = yield* stateAfter({ operations, replicas: [replica("a", { lastSeenWallClockTime: null })] })
      assert.deepInclude(replicas.get(ReplicaId.make("a")), { received: 0, seen: 0 })
    })
  )

  it.effect("has each operation once, also after another replica restored the history", () =>
    Effect.gen(function* () {
      const again = operations.map((row) => ({ ...row, replicaId: "restorer", serverOrder: row.serverOrder + 4 }))
      const state = yield* stateAfter({ operations: [...operations, ...again], replicas: [] })
      assert.strictEqual(state.operations, 4)
      assert.lengthOf(Array.from(newestFirst(state.batches), ({ operations }) => operations).flat(), 4)
    })
  )

  it.effect("leaves out malformed rows, and counts them", () =>
    Effect.gen(function* () {
      const log = yield* memory
      const [good] = operations
      const bad = [
        { oid: "no oid" },
        { timestamp: "yesterday" },
        { data: '{"op":"explode"}' },
        { data: "no JSON" },
        { data: '{"op":"set","name":"a","value":1e999}' },
        { authz: "everybody" },
        { replicaId: 'x","y' }
      ].map((fields, i) => ({ ...good!, ...a.operation("item/1", set("bad", i)), serverOrder: 5 + i, ...fields }))
      const report = yield* imported(log, {
        operations: [...operations, ...bad],
        baselines: [
          { oid: "item/9", snapshot: "no JSON", timestamp: a.now() },
          { oid: "item/8", snapshot: { id: "8" }, timestamp: "never" }
        ],
        replicas: [
          replica("a", { ackedServerOrder: 11 }),
          replica("a b"),
          replica("c", { clientId: "" }),
          replica("d", { type: 9 }),
          replica("e", { ackedLogicalTime: "~" })
        ]
      })
      assert.deepInclude(report, { operations: 4, baselines: 0, malformed: 9, replicas: 1, lapsed: 4 })
      assert.deepInclude(yield* on(log, documentSnapshot(notes, "item", "1")), { list: 3 })
      assert.deepStrictEqual((yield* on(log, replay())).problems, [])
    })
  )
})

describe("the databases of a Verdant server", () => {
  it.effect("are read with their WAL and left unchanged, also those from before private documents", () =>
    Effect.gen(function* () {
      for (const withAuthz of [true, false]) {
        const [log, directory] = [yield* memory, yield* freshDirectory]
        const rows = operations.map(({ replicaId, serverOrder, oid, timestamp, data }) => ({
          ...{ replicaId, serverOrder, oid, timestamp, data }
        }))
        const shard = openShard(directory, notes, { operations: rows, replicas: [replica("a")] }, { withAuthz })
        const changes = () => shard.prepare("PRAGMA data_version").get()
        const before = changes()
        const [report] = yield* on(log, importVerdant(databasesIn(directory)))
        assert.deepInclude(report, { outcome: "imported", operations: 4 })
        assert.deepStrictEqual(changes(), before)
        shard.exec("DELETE FROM OperationHistory")
        shard.close()
      }
    })
  )

  it.effect("are imported one by one, and an unreadable one is named and skipped", () =>
    Effect.gen(function* () {
      const [log, directory] = [yield* memory, yield* freshDirectory]
      writeShard(directory, "b-good", library({}))
      writeShard(directory, "a-empty", { replicas: [replica("a")] })
      writeShard(directory, "@reserved", library({}))
      writeFileSync(join(directory, "c-none.sqlite"), "this is a text and no database, though it lies here")
      writeFileSync(join(directory, "d-nothing.sqlite"), "")
      writeFileSync(join(directory, "e.txt"), "")
      writeShard(directory, "f-good", library({}))
      const done: Array<string> = []
      const run = (options?: ImportVerdantOptions) =>
        Effect.map(on(log, importVerdant(databasesIn(directory), options)), (reports) =>
          reports.map(({ libraryId, outcome }) => `${libraryId} ${outcome}`)
        )
      const all = ["unreadable", "empty", "imported", "unreadable", "unreadable", "imported"]
      const names = ["@reserved", "a-empty", "b-good", "c-none", "d-nothing", "f-good"]
      const expected = names.map((name, i) => `${name} ${all[i]}`)
      assert.deepStrictEqual(yield* run({ dryRun: true }), expected)
      assert.deepStrictEqual(yield* on(log, holdings), [])
      const onProgress = (n: number, of: number) => void done.push(`${n}/${of}`)
      assert.deepStrictEqual(yield* run({ onProgress }), expected)
      assert.deepStrictEqual(done, ["1/6", "2/6", "3/6", "4/6", "5/6", "6/6"])
      const held = yield* on(log, holdings)
      assert.lengthOf(held, 2)
      const again = expected.map((line) => line.replace("imported", "present"))
      assert.deepStrictEqual(yield* run(), again)
      assert.deepStrictEqual(yield* on(log, holdings), held)
    })
  )

  it.effect("change nothing in a library that the log already has", () =>
    Effect.gen(function* () {
      const log = yield* memory
      yield* imported(log, library({ replicas: [replica("a")] }))
      const held = yield* on(log, holdings)
      const report = yield* imported(log, { operations: operations.slice(0, 1), replicas: [] })
      assert.deepInclude(report, { outcome: "present", operations: 0 })
      assert.deepStrictEqual(yield* on(log, holdings), held)
      assert.strictEqual((yield* on(log, libraryInfo(notes)))?.operations, 4)
    })
  )
})
