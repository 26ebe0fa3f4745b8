/** Very many operations on one object, in one message or several: the work does not grow with the square of their number. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { emptyHead, place, type StreamHead } from "../../../src/domain/Stream.ts"
import type { LibraryCommand } from "../../../src/domain/verdant/Commands.ts"
import { compact, everything } from "../../../src/domain/verdant/Compaction.ts"
import { contextOfLogAlone } from "../../../src/domain/verdant/Context.ts"
import { decide } from "../../../src/domain/verdant/Decide.ts"
import type { ReplicaId } from "../../../src/domain/verdant/Events.ts"
import { evolve } from "../../../src/domain/verdant/Evolve.ts"
import { decodeOperation } from "../../../src/domain/verdant/model/Operation.ts"
import type { OwnedOperation, StoredOperation } from "../../../src/domain/verdant/model/StoredItems.ts"
import { type Entity, entityOf, initial, type LibraryState } from "../../../src/domain/verdant/State.ts"

const NOW = 1_700_000_000_000
const KEY = { libraryId: "library" as never, streamId: "@verdant" }
const OID = "notes/a"

const stamp = (n: number): string => `0001${(NOW + n).toString(36).padStart(9, "0")}0000node000`

const touches = (numbers: ReadonlyArray<number>, oid = OID): ReadonlyArray<OwnedOperation> =>
  numbers.map((n) => ({
    ...Result.getOrThrow(decodeOperation({ oid, timestamp: stamp(n), data: { op: "touch" } })),
    owner: null
  }))

const makeLibrary = () => {
  const context = contextOfLogAlone({ now: NOW, truancy: 1_000_000 })
  let head: StreamHead = emptyHead
  let state: LibraryState = initial
  const submit = (command: LibraryCommand): void => {
    const { event, payload } = Result.getOrThrow(decide(state, command, context))
    const placed = place(KEY, head, event, "test", NOW)
    head = { version: placed.version, generation: placed.generation, chain: placed.chain }
    state = evolve(state, placed, payload)
  }
  const author = { replicaId: "replica" as ReplicaId, userId: "ada", type: 0 }
  const asked = { timestamp: stamp(0), since: null, resyncAll: false, isPolling: false }
  submit({ _tag: "Sync", ...author, ...asked, operations: [], baselines: [] })
  return {
    state: () => state,
    store: (operations: ReadonlyArray<OwnedOperation>) => submit({ _tag: "StoreOperations", ...author, operations }),
    /** Counts how often the object's stored operations are read. */
    watch: (): (() => number) => {
      let looks = 0
      const entity = entityOf(state, OID)! as { -readonly [K in keyof Entity]: Entity[K] }
      entity.operations = entity.operations.map(
        (operation) =>
          new Proxy(operation, {
            get: (target, field: keyof StoredOperation) => {
              looks += 1
              return target[field]
            }
          })
      )
      return () => looks
    }
  }
}

const range = (start: number, end: number, step = 1): ReadonlyArray<number> =>
  Array.from({ length: Math.ceil((end - start) / step) }, (_, i) => start + i * step)

describe("very many operations on one object", () => {
  for (const [name, numbers] of [
    ["newer than the stored ones", range(4000, 6000)],
    ["older than the stored ones", range(0, 2000)],
    ["between the stored ones", range(2001, 4000, 2)]
  ] as const) {
    it(`are put in their place without comparing each with each when they are ${name}`, () => {
      const library = makeLibrary()
      library.store(touches(range(2000, 4000, 2)))
      const looks = library.watch()
      library.store(touches(numbers))
      // Each of 2,000 is found by halving. Comparing each with each would take two million reads.
      assert.isBelow(looks(), 100_000)
      const stored = entityOf(library.state(), OID)!.operations.map(({ timestamp }) => timestamp)
      assert.deepStrictEqual(stored, [...range(2000, 4000, 2), ...numbers].sort((a, b) => a - b).map(stamp))
    })
  }

  it("are not stored a second time", () => {
    const library = makeLibrary()
    library.store(touches(range(0, 100)))
    library.store(touches(range(50, 150)))
    assert.deepStrictEqual(
      entityOf(library.state(), OID)!.operations.map(({ timestamp }) => timestamp),
      range(0, 150).map(stamp)
    )
  })

  it("stay when other operations are compacted", () => {
    const library = makeLibrary()
    library.store(touches(range(1000, 151_000)))
    library.store(touches([1], "notes/b"))
    const compacted = compact(
      { ...library.state(), watermark: stamp(2) },
      { isTruant: () => true, portion: everything }
    )
    assert.strictEqual(compacted?.operations, 150_000)
  })
})
