/** Very many operations on one object, in one message or several: each is looked at a few times, and not as often as there are others. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { emptyHead, place, type StreamHead } from "../../../src/domain/Stream.ts"
import type { LibraryCommand } from "../../../src/domain/verdant/Commands.ts"
import { fold } from "../../../src/domain/verdant/Compaction.ts"
import { decide } from "../../../src/domain/verdant/Decide.ts"
import type { ReplicaId } from "../../../src/domain/verdant/Events.ts"
import { evolve } from "../../../src/domain/verdant/Evolve.ts"
import { decodeOperation } from "../../../src/domain/verdant/model/Operation.ts"
import type { OwnedOperation, StoredOperation } from "../../../src/domain/verdant/model/StoredItems.ts"
import { type Entity, entityOf, initial, type LibraryState } from "../../../src/domain/verdant/State.ts"
import { ReplicaProgress } from "../../../src/protocols/verdant/ReplicaProgress.ts"

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
  const cursors = new ReplicaProgress()
  let head: StreamHead = emptyHead
  let state: LibraryState = initial
  const submit = (command: LibraryCommand): void => {
    const { event, payload } = Result.getOrThrow(decide(state, command))
    const placed = place(KEY, head, event, "test", NOW)
    head = { version: placed.version, generation: placed.generation, chain: placed.chain }
    state = evolve(state, placed, payload)
  }
  const author = { replicaId: "replica" as ReplicaId, userId: "ada", type: 0 }
  const circumstances = { now: NOW, truancy: 1_000_000, cursors }
  const asked = { timestamp: stamp(0), since: null, resyncAll: false, isPolling: false, operations: [], baselines: [] }
  submit({ _tag: "Sync", ...author, ...circumstances, ...asked })
  return {
    state: () => state,
    store: (operations: ReadonlyArray<OwnedOperation>) =>
      submit({ _tag: "StoreOperations", ...author, ...circumstances, operations }),
    /** Has what is stored of the object count how often it is looked at. */
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
    ["newer than those that are there", range(4000, 6000)],
    ["older than those that are there", range(0, 2000)],
    ["between those that are there", range(2001, 4000, 2)]
  ] as const) {
    it(`${name} are put in their place without comparing each with each`, () => {
      const library = makeLibrary()
      library.store(touches(range(2000, 4000, 2)))
      const looks = library.watch()
      library.store(touches(numbers))
      // 1,000 and as many again, each found by halving; two million would be each with each.
      assert.isBelow(looks(), 100_000)
      const stored = entityOf(library.state(), OID)!.operations.map(({ timestamp }) => timestamp)
      assert.deepStrictEqual(stored, [...range(2000, 4000, 2), ...numbers].sort((a, b) => a - b).map(stamp))
    })
  }

  it("that are there are not taken again", () => {
    const library = makeLibrary()
    library.store(touches(range(0, 100)))
    library.store(touches(range(50, 150)))
    assert.deepStrictEqual(
      entityOf(library.state(), OID)!.operations.map(({ timestamp }) => timestamp),
      range(0, 150).map(stamp)
    )
  })

  it("stay when the rest is folded", () => {
    const library = makeLibrary()
    library.store(touches(range(1000, 151_000)))
    library.store(touches([1], "notes/b"))
    const folded = fold({ ...library.state(), watermark: stamp(2) }, () => true)
    assert.strictEqual(folded?.operations, 150_000)
  })
})
