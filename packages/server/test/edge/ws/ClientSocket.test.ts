/** The frames of one client, handed to its session: in order, at once or after a wait, and no more after the session failed. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { socketPair } from "#test-support/network/SocketPair"
import { ClientSocket } from "../../../src/edge/ws/ClientSocket.ts"
import type { FrameText, ProtocolSession } from "../../../src/protocols/ProtocolSession.ts"
import { makeServices } from "../services.ts"

/** A client whose session handles frames by `handle`. `fibers`: all that its socket has run. */
const serve = Effect.fnUntraced(function* (handle: ProtocolSession["receive"]) {
  const { client, serving, socket } = yield* socketPair
  const fibers: Array<Fiber.Fiber<void>> = []
  const run = (effect: Effect.Effect<void>) => {
    const fiber = Effect.runFork(effect)
    fibers.push(fiber)
    return fiber
  }
  const served = new ClientSocket(serving, socket, makeServices({ run }))
  const received: Array<string> = []
  const receive: ProtocolSession["receive"] = (texts, done) => {
    received.push(...texts.map(String))
    handle(texts, done)
  }
  const ended = yield* Deferred.make<void>()
  served.serve(
    { user: "somebody", session: { receive, answered: Effect.void, brought: Effect.succeed(false) } },
    Effect.ensuring(Effect.never, Deferred.succeed(ended, undefined))
  )
  const send = (...texts: ReadonlyArray<string>) => {
    for (const text of texts) served.receive(Buffer.from(text), false)
  }
  const closed = Effect.callback<number>((resume) => void client.once("close", (code) => resume(Effect.succeed(code))))
  return { served, send, received, closed, fibers, hasEnded: Deferred.await(ended) }
})

describe("a client's socket", () => {
  it.live("hands frames to the session without a fiber, one group after the other", () =>
    Effect.gen(function* () {
      const waiting: Array<() => void> = []
      const { fibers, received, send, served } = yield* serve((_, done) => void waiting.push(() => done(undefined)))
      const before = fibers.length
      send("1", "2", "3")
      assert.deepStrictEqual(received, ["1"])
      waiting.shift()!()
      assert.deepStrictEqual(received, ["1", "2", "3"])
      waiting.shift()!()
      yield* served.frames.handled
      send("4")
      assert.deepStrictEqual(received, ["1", "2", "3", "4"])
      assert.lengthOf(fibers, before)
    })
  )

  it.live("hands the next group over once, when a session calls back twice for the group before", () =>
    Effect.gen(function* () {
      const waiting: Array<() => void> = []
      const { received, send } = yield* serve((_, done) => void waiting.push(() => done(undefined)))
      send("1", "2")
      const first = waiting.shift()!
      first()
      send("3")
      first()
      assert.deepStrictEqual(received, ["1", "2"])
      waiting.shift()!()
      assert.deepStrictEqual(received, ["1", "2", "3"])
    })
  )

  it.live("handles all frames of a client that has gone, and then ends", () =>
    Effect.gen(function* () {
      const waiting: Array<() => void> = []
      const { hasEnded, received, send, served } = yield* serve((_, done) => void waiting.push(() => done(undefined)))
      send("1", "2")
      served.closed(1006)
      waiting.shift()!()
      waiting.shift()!()
      yield* hasEnded
      assert.deepStrictEqual(received, ["1", "2"])
    })
  )

  const failures: ReadonlyArray<readonly [string, ProtocolSession["receive"]]> = [
    [
      "throws",
      () => {
        throw new Error("a defect")
      }
    ],
    ["fails after a wait", (_, done) => done(Effect.andThen(Effect.yieldNow, Effect.die("a defect")))]
  ]
  for (const [name, handle] of failures) {
    it.live(`closes with 1011 and drops the frames that wait when the session ${name}`, () =>
      Effect.gen(function* () {
        const { closed, received, send } = yield* serve((texts: ReadonlyArray<FrameText>, done) =>
          texts.includes("wait") ? done(Effect.yieldNow) : handle(texts, done)
        )
        send("wait", "1")
        send(...Array.from({ length: 100 }, () => "2"))
        assert.strictEqual(yield* closed, 1011)
        assert.lengthOf(received, 1 + 64)
      })
    )
  }

  it.live("drops the frames that wait when the server drops the connection", () =>
    Effect.gen(function* () {
      const { fibers, hasEnded, received, send, served } = yield* serve((_, done) => done(Effect.never))
      send("1", "2")
      served.terminate("shutting down")
      yield* Fiber.interrupt(fibers.at(-1)!)
      yield* Effect.all([served.frames.handled, hasEnded])
      assert.deepStrictEqual(received, ["1"])
    })
  )
})
