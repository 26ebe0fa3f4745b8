/** The conformance suite of `Signals`. An implementation's own test file only opens it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Queue, Schedule, type Scope, Stream } from "effect"
import { LibraryId } from "../domain/Ids.ts"
import type { StreamKey } from "../domain/Stream.ts"
import type { Broadcast, Signals } from "../ports/Signals.ts"

/** One process on the log. */
export interface SignalsProcess {
  readonly signals: Signals["Service"]
  /** Writes to the streams and announces them. A transport need not write: the announcement is all that it knows. */
  readonly write: (keys: ReadonlyArray<StreamKey>) => Effect.Effect<void>
}

export interface SignalsSubject {
  /** Opens one more process on the same log. */
  readonly open: Effect.Effect<SignalsProcess, never, Scope.Scope>
  /** Cuts the connections of all processes once. They must come back by themselves. */
  readonly interrupt: Effect.Effect<void, never, Scope.Scope>
}

export interface SignalsSuiteOptions {
  /**
   * False for a storage that finds the writes of other processes by itself: it has no connection to cut and carries no
   * broadcasts. Default: true.
   */
  readonly isTransport?: boolean
  /** The most streams that one wake-up names one by one. Default: 2000. */
  readonly maxNamed?: number
}

const libraryId = LibraryId.make("été-日本-😀")
const keyOf = (streamId: string): StreamKey => ({ libraryId, streamId })

/** Time between two attempts to reach a process that may not listen yet. */
const AGAIN = Schedule.spaced("50 millis")

/** Listens to a process: named streams, "all", and broadcasts, each in a queue of its own. */
const listen = Effect.fnUntraced(function* ({ signals }: SignalsProcess) {
  const named = yield* Queue.unbounded<string>()
  const all = yield* Queue.unbounded<"all">()
  const broadcasts = yield* Queue.unbounded<Broadcast>()
  yield* Effect.forkScoped(
    Stream.runForEach(signals.wakeups, (woken) => {
      if (woken === "all") return Effect.asVoid(Queue.offer(all, woken))
      for (const key of woken) assert.strictEqual(key.libraryId, libraryId)
      const streamIds = woken.map(({ streamId }) => streamId)
      return Effect.asVoid(Queue.offerAll(named, streamIds))
    })
  )
  yield* Effect.forkScoped(Stream.runForEach(signals.broadcasts, (message) => Queue.offer(broadcasts, message)))
  return { named, all, broadcasts }
})
type Listener = Effect.Success<ReturnType<typeof listen>>

/** Takes what a listener hears until it has heard every stream, each at least once. */
const hears = Effect.fnUntraced(function* ({ named }: Listener, streamIds: ReadonlyArray<string>) {
  const missing = new Set(streamIds)
  while (missing.size > 0) missing.delete(yield* Queue.take(named))
})

/** Has a process write to a stream until every listener has heard of it: from then on they miss nothing. */
const connect = Effect.fnUntraced(function* (writer: SignalsProcess, listeners: ReadonlyArray<Listener>) {
  const probe = `probe-${crypto.randomUUID()}`
  yield* Effect.forEach(listeners, (listener) => hears(listener, [probe]), { concurrency: "unbounded" }).pipe(
    Effect.raceFirst(Effect.andThen(Effect.repeat(writer.write([keyOf(probe)]), AGAIN), Effect.never))
  )
})

const withoutProbes = (streamIds: ReadonlyArray<string>) => streamIds.filter((id) => !id.startsWith("probe-"))

export const signalsSuite = (
  name: string,
  subject: Effect.Effect<SignalsSubject, never, Scope.Scope>,
  { isTransport = true, maxNamed = 2000 }: SignalsSuiteOptions = {}
): void => {
  describe(`Signals (${name})`, () => {
    it.live("a write wakes every other process, and names the stream", () =>
      Effect.gen(function* () {
        const { open } = yield* subject
        const [one, two, three] = yield* Effect.all([open, open, open])
        const [second, third] = [yield* listen(two), yield* listen(three)]
        yield* connect(one, [second, third])
        yield* one.write([keyOf("1")])
        yield* hears(second, ["1"])
        yield* hears(third, ["1"])
        yield* two.write([keyOf("2")])
        yield* hears(third, ["2"])
      })
    )

    it.live("every listener of one process is woken", () =>
      Effect.gen(function* () {
        const { open } = yield* subject
        const [one, two] = yield* Effect.all([open, open])
        const listeners = [yield* listen(two), yield* listen(two)]
        yield* connect(one, listeners)
        yield* one.write([keyOf("1")])
        for (const listener of listeners) yield* hears(listener, ["1"])
      })
    )

    it.live("a later write to the same stream wakes again", () =>
      Effect.gen(function* () {
        const { open } = yield* subject
        const [one, two] = yield* Effect.all([open, open])
        const listener = yield* listen(two)
        yield* connect(one, [listener])
        // A signal may be doubled: the stream in between separates the two wake-ups of the first.
        for (const streamId of ["1", "in between", "1"]) {
          yield* one.write([keyOf(streamId)])
          yield* hears(listener, [streamId])
        }
      })
    )

    it.live("a write before the first listener wakes it, by its name or as one of all", () =>
      Effect.gen(function* () {
        const { open } = yield* subject
        const [one, two] = yield* Effect.all([open, open])
        yield* one.write([keyOf("early")])
        const listener = yield* listen(two)
        yield* Effect.raceFirst(hears(listener, ["early"]), Effect.asVoid(Queue.take(listener.all)))
      })
    )

    it.live("names every stream when many grow at once, whatever their names", () =>
      Effect.gen(function* () {
        const { open } = yield* subject
        const [one, two] = yield* Effect.all([open, open])
        const listener = yield* listen(two)
        yield* connect(one, [listener])
        const odd = ["%", "_", "'", '"', "\\", "null", "[0]", "日本", "😀", "@verdant", "x".repeat(200)]
        const many = Array.from({ length: maxNamed - odd.length }, (_, i) => `stream-${i}-${"x".repeat(80)}`)
        yield* one.write([...odd, ...many].map(keyOf))
        yield* hears(listener, [...odd, ...many])
      })
    )

    if (!isTransport) return

    it.live("a process is not woken by its own writes", () =>
      Effect.gen(function* () {
        const { open } = yield* subject
        const [one, two] = yield* Effect.all([open, open])
        const [first, second] = [yield* listen(one), yield* listen(two)]
        yield* connect(one, [second])
        yield* connect(two, [first])
        yield* one.write([keyOf("own")])
        yield* hears(second, ["own"])
        yield* two.write([keyOf("reply")])
        const heard: Array<string> = []
        while (heard.at(-1) !== "reply") heard.push(yield* Queue.take(first.named))
        assert.deepStrictEqual(withoutProbes(heard), ["reply"])
      })
    )

    it.live("wakes all streams after the connection was lost, and names streams again", () =>
      Effect.gen(function* () {
        const { interrupt, open } = yield* subject
        const [one, two] = yield* Effect.all([open, open])
        const listener = yield* listen(two)
        yield* connect(one, [listener])
        yield* Queue.clear(listener.all)
        yield* interrupt
        yield* Queue.take(listener.all)
        yield* connect(one, [listener])
        yield* one.write([keyOf("after")])
        yield* hears(listener, ["after"])
      })
    )

    it.live("broadcasts reach the other processes byte for byte and in order", () =>
      Effect.gen(function* () {
        const { open } = yield* subject
        const [one, two] = yield* Effect.all([open, open])
        const [first, second] = [yield* listen(one), yield* listen(two)]
        yield* connect(one, [second])
        yield* connect(two, [first])
        const frames = [1, 100, 5000, 7000, 60_000].map((size) => crypto.getRandomValues(new Uint8Array(size)))
        for (const [i, frame] of frames.entries()) yield* one.signals.broadcast({ key: keyOf(String(i)), frame })
        for (const [i, frame] of frames.entries()) {
          const received = yield* Queue.take(second.broadcasts)
          assert.deepStrictEqual(received.key, keyOf(String(i)))
          assert.strictEqual(Buffer.compare(received.frame, frame), 0, `${frame.length} bytes`)
        }
        yield* two.signals.broadcast({ key: keyOf("reply"), frame: new Uint8Array([1]) })
        const reply = yield* Queue.take(first.broadcasts)
        assert.deepStrictEqual(reply.key, keyOf("reply"), "a process does not receive its own broadcasts")
      })
    )

    it.live("a broadcast that is too large is dropped, and the next one arrives", () =>
      Effect.gen(function* () {
        const { open } = yield* subject
        const [one, two] = yield* Effect.all([open, open])
        const listener = yield* listen(two)
        yield* connect(one, [listener])
        yield* one.signals.broadcast({ key: keyOf("too large"), frame: new Uint8Array(100_000) })
        yield* one.signals.broadcast({ key: keyOf("small"), frame: new Uint8Array([1]) })
        assert.deepStrictEqual((yield* Queue.take(listener.broadcasts)).key, keyOf("small"))
      })
    )
  })
}
