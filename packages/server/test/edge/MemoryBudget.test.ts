/** Large messages of all clients together are handled within one memory budget. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { socketPair } from "#test-support/network/SocketPair"
import { makeMemoryBudget } from "../../src/edge/MemoryBudget.ts"
import { ClientSocket, type ClientSocketServices } from "../../src/edge/ws/ClientSocket.ts"
import { makeServices } from "./services.ts"

const MB = 1024 * 1024

/** Handles a message of `length` characters until `end`, and answers it at `answer`. */
const begin = Effect.fnUntraced(function* (budget: ReturnType<typeof makeMemoryBudget>, length: number) {
  const [end, answered] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
  let hasBegun = false
  const handling = Effect.suspend(() => {
    hasBegun = true
    return Deferred.await(end)
  })
  yield* Effect.forkChild(budget.handle(length, handling, Deferred.await(answered)), { startImmediately: true })
  const done = (deferred: Deferred.Deferred<void>) =>
    Effect.andThen(Deferred.succeed(deferred, undefined), Effect.yieldNow)
  return { hasBegun: () => hasBegun, end: done(end), answer: done(answered) }
})

const settle = Effect.forEach(Array.from({ length: 10 }), () => Effect.yieldNow, { discard: true })

/** A client whose session completes `receive` at `done`, and counts as answered at `answered`. */
const makeClient = Effect.fnUntraced(function* (services: ClientSocketServices) {
  const { client, serving, socket } = yield* socketPair
  const served = new ClientSocket(serving, socket, services)
  const [received, done, answered] = [
    yield* Deferred.make<void>(),
    yield* Deferred.make<void>(),
    yield* Deferred.make<void>()
  ]
  const arrived = yield* Deferred.make<void>()
  serving.on("message", (data, isBinary) => {
    served.receive(data, isBinary)
    Deferred.doneUnsafe(arrived, Effect.void)
  })
  served.serve(
    {
      user: "somebody",
      session: {
        receive: (_, finish) => finish(Effect.andThen(Deferred.succeed(received, undefined), Deferred.await(done))),
        answered: Deferred.await(answered),
        brought: Effect.succeed(false)
      }
    },
    Effect.never
  )
  return { client, arrived, received, done, answered }
})

describe("the memory budget", () => {
  it.effect("lets large messages wait for room and handles small ones at once", () =>
    Effect.gen(function* () {
      const budget = makeMemoryBudget()
      const [a, b, c] = [yield* begin(budget, 32 * MB), yield* begin(budget, 32 * MB), yield* begin(budget, MB)]
      const small = yield* begin(budget, 1000)
      yield* settle
      assert.deepStrictEqual(
        [a, b, c, small].map((one) => one.hasBegun()),
        [true, true, false, true]
      )
      yield* a.end
      yield* settle
      assert.isFalse(c.hasBegun())
      yield* a.answer
      yield* settle
      assert.isTrue(c.hasBegun())
      const larger = yield* begin(budget, 1000 * MB)
      for (const one of [b, c]) {
        yield* settle
        assert.isFalse(larger.hasBegun())
        yield* Effect.andThen(one.end, one.answer)
      }
      yield* settle
      assert.isTrue(larger.hasBegun())
    })
  )

  it.live("keeps the room of a client's message until the message is answered", () =>
    Effect.gen(function* () {
      const services = makeServices()
      const [first, second, small] = [
        yield* makeClient(services),
        yield* makeClient(services),
        yield* makeClient(services)
      ]
      first.client.send("x".repeat(40 * MB))
      yield* Deferred.await(first.received)
      second.client.send("x".repeat(40 * MB))
      yield* Deferred.await(second.arrived)
      small.client.send("x")
      yield* Deferred.await(small.received)
      yield* Deferred.succeed(first.done, undefined)
      yield* settle
      assert.isFalse(yield* Deferred.isDone(second.received))
      yield* Deferred.succeed(first.answered, undefined)
      yield* Deferred.await(second.received)
    })
  )
})
