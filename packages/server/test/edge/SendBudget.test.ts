/** Frames that wait for slow clients have a bound for all clients together. */
import { assert, describe, it } from "@effect/vitest"
import { Backlog, SendBudget } from "../../src/edge/SendBudget.ts"

const MB = 1024 * 1024

/** A budget of 64 MiB, and the clients that it dropped. */
const makeBudget = () => {
  const budget = new SendBudget(64 * MB)
  const dropped: Array<string> = []
  return { budget, dropped, client: (name: string) => new Backlog(budget, () => dropped.push(name)) }
}

const frame = (bytes: number): ReadonlyArray<Uint8Array> => [new Uint8Array(10), new Uint8Array(bytes)]

describe("the budget of frames that wait for clients", () => {
  it("drops the client for which most bytes wait, and no other", () => {
    const { budget, client, dropped } = makeBudget()
    client("small").add(frame(10 * MB))
    const large = client("large")
    large.add(frame(20 * MB))
    large.add(frame(12 * MB))
    client("last").add(frame(20 * MB))
    assert.deepStrictEqual(dropped, [])
    client("next").add(frame(3 * MB))
    assert.deepStrictEqual(dropped, ["large"])
    assert.approximately(budget.waiting / MB, 33, 0.1)
  })

  it("lets a client alone have more, because a document can be larger", () => {
    const { client, dropped } = makeBudget()
    const [large, small] = [client("large"), client("small")]
    large.add(frame(80 * MB))
    assert.deepStrictEqual(dropped, [])
    small.add(frame(MB))
    assert.deepStrictEqual(dropped, ["large"])
  })

  it("counts a frame once that many clients wait for, and drops the client with frames of its own", () => {
    const { budget, client, dropped } = makeBudget()
    const shared = frame(30 * MB)
    const clients = Array.from({ length: 100 }, (_, i) => client(`honest ${i}`))
    for (const one of clients) one.add([...shared])
    assert.approximately(budget.waiting / MB, 30, 0.1)
    client("mallory").add(frame(40 * MB))
    assert.deepStrictEqual(dropped, ["mallory"])
  })

  it("is empty once each frame is taken, or its connection has ended", () => {
    const { budget, client } = makeBudget()
    const [first, second] = [client("first"), client("second")]
    const shared = [...frame(MB), ...frame(1000)]
    const [sent, again] = [[...shared], [...shared]]
    first.add(sent)
    first.add(again)
    second.add([...shared])
    first.remove(sent)
    assert.approximately(budget.waiting / MB, 1, 0.1)
    first.remove(again)
    second.clear()
    assert.strictEqual(budget.waiting, 0)
    assert.isTrue(first.isEmpty && second.isEmpty)
  })
})
