/** However many clients send something large at once, no more of it is parsed and stored at a time than there is memory for. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { socketPair } from "#test-support/network/SocketPair"
import { makeMemoryBudget } from "../../src/edge/MemoryBudget.ts"
import { ClientSocket, type ClientSocketServices } from "../../src/edge/ws/ClientSocket.ts"

const MB = 1024 * 1024

/** Handles a message of so many characters until it is told to end. */
const begin = Effect.fnUntraced(function* (messages: ReturnType<typeof makeMemoryBudget>, length: number) {
  const [end, answered] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
  let hasBegun = false
  const handling = Effect.suspend(() => {
    hasBegun = true
    return Deferred.await(end)
  })
  yield* Effect.forkChild(messages.handle(length, handling, Deferred.await(answered)), { startImmediately: true })
  const done = (deferred: Deferred.Deferred<void>) =>
    Effect.andThen(Deferred.succeed(deferred, undefined), Effect.yieldNow)
  return { hasBegun: () => hasBegun, end: done(end), answer: done(answered) }
})

const settle = Effect.forEach(Array.from({ length: 10 }), () => Effect.yieldNow, { discard: true })

/** A client on a server, whose messages are handled by a session that waits to be told to go on. */
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
    served.inbox.receive(data, isBinary)
    Deferred.doneUnsafe(arrived, Effect.void)
  })
  served.begin(
    {
      receive: () => Effect.andThen(Deferred.succeed(received, undefined), Deferred.await(done)),
      answered: Deferred.await(answered)
    },
    Effect.never
  )
  return { client, arrived, received, done, answered }
})

describe("large messages", () => {
  it.effect("are handled as far as there is room for them, small ones at once", () =>
    Effect.gen(function* () {
      const messages = makeMemoryBudget()
      const [a, b, c] = [yield* begin(messages, 32 * MB), yield* begin(messages, 32 * MB), yield* begin(messages, MB)]
      const small = yield* begin(messages, 1000)
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
      const larger = yield* begin(messages, 1000 * MB)
      for (const one of [b, c]) {
        yield* settle
        assert.isFalse(larger.hasBegun())
        yield* Effect.andThen(one.end, one.answer)
      }
      yield* settle
      assert.isTrue(larger.hasBegun())
    })
  )

  it.live("of several clients wait for each other until they are answered", () =>
    Effect.gen(function* () {
      const services = {
        run: (effect: Effect.Effect<void>) => Effect.runFork(effect),
        maxBufferedBytes: MB,
        largeMessages: makeMemoryBudget()
      }
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
