/** One process's way to the log that all processes share: calls take time, fail before or after they did something, or never end. */
import type { Append, Appended } from "@sealog/server/ports/EventLog"
import { EventLog, StorageUnavailable } from "@sealog/server/ports/EventLog"
import { Deferred, Effect } from "effect"
import type { Random } from "../support/random.ts"
import type { Sabotage } from "./Sabotage.ts"
import type { VirtualTime } from "./VirtualTime.ts"

type Log = EventLog["Service"]

/** The state of one process's connection to its log. */
export interface LogFaults {
  /** The longest time that a call takes in each direction, in milliseconds. */
  latency: number
  /** Of 1,000 calls, those that fail before they did anything, and the appends that fail although they were stored. */
  failing: number
  /** Every call fails. */
  isDown: boolean
  /** Completed when the process dies. From then on no call does anything, and none returns before the world ends. */
  readonly death: Deferred.Deferred<void>
  readonly endOfWorld: Deferred.Deferred<void>
  isDead: boolean
}

export const makeFaultyLog = (
  log: Log,
  faults: LogFaults,
  time: VirtualTime,
  random: Random,
  sabotage: Sabotage | undefined
): Log => {
  const wait = Effect.suspend(() => time.sleep((random.next(1000) / 1000) * faults.latency))
  const never = Effect.andThen(Deferred.await(faults.endOfWorld), Effect.interrupt)
  const alive = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => (faults.isDead ? never : effect))
  const fails = (): boolean => faults.isDown || random.next(1000) < faults.failing

  const call = <A>(
    operation: string,
    effect: Effect.Effect<A, StorageUnavailable>
  ): Effect.Effect<A, StorageUnavailable> => {
    const answer = <B>(effect: Effect.Effect<B, StorageUnavailable>) => {
      if (faults.isDead) return never
      return fails() ? failed(operation) : effect
    }
    // If the second answer is lost, whatever was stored stays.
    const called = Effect.flatMap(effect, (result) => Effect.flatMap(wait, () => answer(Effect.succeed(result))))
    return Effect.flatMap(wait, () => answer(called))
  }

  /** A call that the log in memory answers at once: the fiber waits only once. */
  const ask = <A>(
    operation: string,
    effect: Effect.Effect<A, StorageUnavailable>
  ): Effect.Effect<A, StorageUnavailable> => {
    return Effect.callback((resume) => {
      const after = (happen: () => void) => time.after((random.next(1000) / 1000) * faults.latency, happen)
      const answer = (succeed: () => void) => {
        if (faults.isDead) resume(never)
        else if (fails()) resume(failed(operation))
        else succeed()
      }
      let cancel = after(() =>
        answer(() => {
          const result = Effect.runSyncExit(effect)
          cancel = after(() => answer(() => resume(result)))
        })
      )
      return Effect.sync(() => cancel())
    })
  }

  const append: Log["append"] = (batch) => {
    if (sabotage === "the log answers before it commits") {
      return Effect.gen(function* () {
        const results = yield* wouldBe(log, batch)
        yield* Effect.forkDetach(call("append", log.append(batch)))
        return results
      })
    }
    if (sabotage === "the log does not compare versions") {
      return call(
        "append",
        Effect.map(log.append(batch), (results) => results.map((): Appended => ({ _tag: "Committed" })))
      )
    }
    return call("append", log.append(batch))
  }
  const read: Log["read"] = (key, options) =>
    Effect.map(log.read(key, options), (events) =>
      sabotage === "the log shows an event before an older one" && events.length > 1 ? events.slice(1) : events
    )

  return EventLog.of({
    append,
    // A connection that breaks ends its transaction.
    exclusively: (key, use) => {
      const dies = Effect.andThen(Deferred.await(faults.death), Effect.interrupt)
      return alive(log.exclusively(key, Effect.raceFirst(Effect.andThen(wait, use), dies)))
    },
    heads: (keys) => ask("read heads", log.heads(keys)),
    read: (key, options) => ask("read", read(key, options)),
    tail: (key, options) => ask("read a tail", log.tail(key, options)),
    readKeyed: (key, after) => ask("read by key", log.readKeyed(key, after)),
    held: (key, before) => ask("measure", log.held(key, before)),
    streams: (options) => ask("list streams", log.streams(options)),
    use: (libraryId) => ask("count payloads", log.use(libraryId)),
    countStreams: (libraryId) => ask("count streams", log.countStreams(libraryId)),
    libraries: (options) => ask("list libraries", log.libraries(options))
  })
}

const failed = (operation: string): Effect.Effect<never, StorageUnavailable> =>
  Effect.fail(new StorageUnavailable({ operation, cause: "the simulation made it fail" }))

/** The results that an append would have now. */
const wouldBe = (log: Log, batch: ReadonlyArray<Append>): Effect.Effect<ReadonlyArray<Appended>, StorageUnavailable> =>
  Effect.map(log.heads(batch.map(({ key }) => key)), (heads) =>
    heads.map(({ version }, i) =>
      version === batch[i]!.expectedVersion ? { _tag: "Committed" } : { _tag: "Conflict", actualVersion: version }
    )
  )
