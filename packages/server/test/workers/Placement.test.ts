import { assert, describe, it } from "@effect/vitest"
import { Placement } from "@sealog/server/workers/Placement"

interface Worker {
  readonly number: number
  isOpen: boolean
  connections: number
}

const make = (count: number, max = 1000) => {
  const workers = Array.from({ length: count }, (_, i): Worker => ({ number: i + 1, isOpen: true, connections: 0 }))
  const placement = new Placement<Worker>(() => max)
  const place = (key?: string) => {
    const placed = placement.place(key, workers)
    if (placed !== undefined) placed.worker.connections += 1
    return placed
  }
  return { workers, place }
}

const keys = Array.from({ length: 1000 }, (_, i) => `document ${i}`)

describe("the placement of connections", () => {
  it("spreads keys, and gives each the same worker again", () => {
    const { place, workers } = make(4)
    const first = keys.map((key) => place(key)?.worker)
    assert.deepStrictEqual(
      keys.map((key) => place(key)?.worker),
      first
    )
    for (const { connections } of workers) assert.isTrue(connections > 350 && connections < 650, `${connections}`)
  })

  it("moves only the keys of a worker that has ended, and brings them back once they have no connection", () => {
    const { place, workers } = make(4)
    const before = keys.map((key) => place(key)!)
    const ended = workers[1]!
    ended.isOpen = false
    for (const { release, worker } of before) if (worker === ended) release()
    const during = keys.map((key) => place(key)!)
    keys.forEach((_, i) => {
      if (before[i]!.worker === ended) assert.notStrictEqual(during[i]!.worker, ended)
      else assert.strictEqual(during[i]!.worker, before[i]!.worker)
    })
    ended.isOpen = true
    // A key with connections stays where they are.
    assert.deepStrictEqual(
      keys.map((key) => place(key)!.worker),
      during.map(({ worker }) => worker)
    )
    const { place: placeLater } = make(4)
    const moved = keys.findIndex((_, i) => before[i]!.worker === ended)
    assert.strictEqual(placeLater(keys[moved]!)!.worker.number, ended.number)
  })

  it("gives connections without a key to the worker with the fewest", () => {
    const { place, workers } = make(3)
    for (let i = 0; i < 30; i++) place()
    assert.deepStrictEqual(
      workers.map(({ connections }) => connections),
      [10, 10, 10]
    )
  })

  it("goes on to another worker when one is full, and to any when all are", () => {
    const { place, workers } = make(2, 10)
    for (let i = 0; i < 20; i++) place("document 1")
    assert.deepStrictEqual(
      workers.map(({ connections }) => connections),
      [10, 10]
    )
    assert.isDefined(place("document 1"))
    for (const worker of workers) worker.isOpen = false
    assert.isUndefined(place("document 1"))
  })
})
