/** Evicting a library's Verdant data: the domain's rule says whether there is anything to evict. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { layerMemory } from "../../src/adapters/MemoryEventLog.ts"
import { evict } from "../../src/admin/Eviction.ts"
import { blake2b256 } from "../../src/domain/Blake2b.ts"
import { LibraryId } from "../../src/domain/Ids.ts"
import { place } from "../../src/domain/Stream.ts"
import { type LibraryEvent, ReplicaId, toNewEvent, VERDANT } from "../../src/domain/verdant/Events.ts"
import { EventLog } from "../../src/ports/EventLog.ts"
import { Signals } from "../../src/ports/Signals.ts"

const libraryId = LibraryId.make("notes")
const key = { libraryId, streamId: VERDANT }
const replicaId = ReplicaId.make("replica")

/** Appends an event, by no rule. */
const append = Effect.fnUntraced(function* (data: LibraryEvent, text?: string) {
  const log = yield* EventLog
  const { head } = yield* log.tail(key)
  const payload = text === undefined ? null : Buffer.from(text)
  const event = place(key, head, toNewEvent(data, payload === null ? "" : blake2b256(payload)), "test", 1000)
  const [appended] = yield* log.append([{ key, expectedVersion: head.version, events: [{ event, payload }] }])
  assert.strictEqual(appended?._tag, "Committed")
})

const operation = `{"oid":"item/1","timestamp":"0001aaaaaaaaa0000nodenod","data":{"op":"initialize","value":{}}}`

const storeOperation = (payload = `{"operations":[${operation}],"baselines":[]}`) =>
  append(
    {
      ...{ _tag: "OperationsStored", replicaId, userId: "ada", type: 0 },
      ...{ operations: 1, baselines: 0, initial: true, wrote: "0001aaaaaaaaa0000nodenod" }
    },
    payload
  )

const versions = Effect.map(
  Effect.flatMap(EventLog, (log) => log.heads([key])),
  ([head]) => head?.version
)

const lastData = Effect.map(
  Effect.flatMap(EventLog, (log) => log.tail(key)),
  ({ events }) => events.at(-1)?.event.data
)

const onMemory = Effect.provide(Layer.mergeAll(layerMemory, Signals.layerNone))

describe("evicting a library's Verdant data", () => {
  it.effect("evicts a library that holds operations, once", () =>
    Effect.gen(function* () {
      yield* storeOperation()
      assert.deepStrictEqual(yield* evict({ libraryId, dryRun: true }), yield* evict({ libraryId }))
      assert.deepStrictEqual(yield* evict({ libraryId }), [])
      assert.strictEqual(yield* versions, 2)
    }).pipe(onMemory)
  )

  it.effect("does nothing while an evicted library waits for its restoration", () =>
    Effect.gen(function* () {
      yield* storeOperation()
      yield* evict({ libraryId })
      yield* append({ _tag: "RestoreLeased", replicaId })
      assert.deepStrictEqual(yield* evict({ libraryId, dryRun: true }), [])
      assert.deepStrictEqual(yield* evict({ libraryId }), [])
      assert.strictEqual(yield* versions, 3)
    }).pipe(onMemory)
  )

  it.effect("evicts a library again once a client has restored it", () =>
    Effect.gen(function* () {
      yield* storeOperation()
      yield* evict({ libraryId })
      yield* storeOperation()
      assert.lengthOf(yield* evict({ libraryId }), 1)
      assert.strictEqual(yield* versions, 4)
    }).pipe(onMemory)
  )

  it.effect("evicts a library whose payloads are damaged, so that its clients can restore it", () =>
    Effect.gen(function* () {
      yield* storeOperation("not JSON")
      assert.lengthOf(yield* evict({ libraryId, dryRun: true }), 1)
      assert.lengthOf(yield* evict({ libraryId }), 1)
      assert.deepStrictEqual(yield* evict({ libraryId }), [])
      assert.deepStrictEqual(yield* lastData, { replicas: [[replicaId, "ada"]] })
    }).pipe(onMemory)
  )
})
