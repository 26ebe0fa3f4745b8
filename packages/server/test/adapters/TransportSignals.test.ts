/** Signals over a transport in memory: the code that Postgres and Redis share, without either of them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, PubSub, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import { until } from "#test-support/until"
import { type Medium, makeTransportSignals } from "../../src/adapters/TransportSignals.ts"
import { signalsSuite } from "../../src/testing/SignalsSuite.ts"

/** A transport to every process of a test. `cut` ends all connections. */
const makeMedium = Effect.gen(function* () {
  const texts = yield* PubSub.unbounded<string>()
  const cuts = yield* PubSub.unbounded<void>()
  const medium: Medium = {
    maxBytes: 1000,
    send: (sent) => Effect.asVoid(PubSub.publishAll(texts, sent)),
    listen: Effect.fnUntraced(function* (onListening, onText) {
      const heard = yield* PubSub.subscribe(texts)
      const ended = yield* PubSub.subscribe(cuts)
      yield* onListening
      return yield* Effect.raceFirst(
        Effect.forever(Effect.flatMap(PubSub.take(heard), onText)),
        Effect.andThen(PubSub.take(ended), Effect.fail("the connection was cut"))
      )
    })
  }
  return { medium, cut: Effect.asVoid(PubSub.publish(cuts, undefined)) }
})

signalsSuite(
  "transport in memory",
  Effect.map(makeMedium, ({ medium, cut }) => ({
    open: Effect.map(makeTransportSignals(medium), (signals) => ({ signals, write: signals.announce })),
    interrupt: cut
  }))
)

describe("signals over a transport", () => {
  it.live("go on after a defect in sending and in listening", () =>
    Effect.gen(function* () {
      const { medium } = yield* makeMedium
      let [sends, listens] = [0, 0]
      const faulty: Medium = {
        ...medium,
        send: (texts) => (++sends === 1 ? Effect.die(new Error("made to fail")) : medium.send(texts)),
        listen: (...args) => (++listens === 1 ? Effect.die(new Error("made to fail")) : medium.listen(...args))
      }
      const [from, to] = [yield* makeTransportSignals(faulty), yield* makeTransportSignals(faulty)]
      const woken = yield* Queue.unbounded<unknown>()
      yield* Effect.forkScoped(Stream.runForEach(to.wakeups, (streams) => Queue.offer(woken, streams)))
      assert.strictEqual(yield* Queue.take(woken), "all")
      const key = (streamId: string) => ({ libraryId: "notes" as never, streamId })
      yield* from.announce([key("lost")])
      yield* until("the first is sent", () => sends === 1)
      yield* from.announce([key("sent")])
      assert.deepStrictEqual(yield* Queue.take(woken), [key("sent")])
    })
  )

  it.effect("go on after a send that never ends", () =>
    Effect.gen(function* () {
      const { medium } = yield* makeMedium
      let sends = 0
      const stuck: Medium = { ...medium, send: (texts) => (++sends === 1 ? Effect.never : medium.send(texts)) }
      const signals = yield* makeTransportSignals(stuck)
      const heard = yield* Queue.unbounded<Uint8Array>()
      const to = yield* makeTransportSignals(medium)
      const woken = yield* Queue.unbounded<unknown>()
      yield* Effect.forkScoped(Stream.runForEach(to.wakeups, (streams) => Queue.offer(woken, streams)))
      yield* Effect.forkScoped(Stream.runForEach(to.broadcasts, ({ frame }) => Queue.offer(heard, frame)))
      assert.strictEqual(yield* Queue.take(woken), "all")
      const key = { libraryId: "notes" as never, streamId: "list" }
      yield* signals.broadcast({ key, frame: Buffer.from("swallowed") })
      yield* TestClock.adjust("1 second")
      yield* signals.broadcast({ key, frame: Buffer.from("waits") })
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(Buffer.from(yield* Queue.take(heard)).toString(), "waits")
      assert.strictEqual(sends, 2)
    })
  )

  it.effect("say every five seconds that any stream may have grown", () =>
    Effect.gen(function* () {
      const { medium } = yield* makeMedium
      const signals = yield* makeTransportSignals(medium)
      const woken = yield* Queue.unbounded<unknown>()
      yield* Effect.forkScoped(Stream.runForEach(signals.wakeups, (streams) => Queue.offer(woken, streams)))
      // The first one comes with the connection.
      assert.strictEqual(yield* Queue.take(woken), "all")
      for (let sweep = 0; sweep < 3; sweep++) {
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(yield* Queue.take(woken), "all")
      }
      assert.strictEqual(yield* Queue.size(woken), 0)
    })
  )
})
