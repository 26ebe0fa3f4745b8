/**
 * The heads of streams, read for many callers by one query. A caller must see what the log holds when it asks, so it does not
 * share a query that is under way: the callers of that time share the next one.
 */
import { Deferred, Effect, FiberSet, Semaphore } from "effect"
import { type StreamHead, type StreamKey, streamName } from "../domain/Stream.ts"
import type { EventLog, StorageUnavailable } from "../ports/EventLog.ts"

export type ReadHeads = EventLog["Service"]["heads"]

interface Query {
  readonly keys: Map<string, StreamKey>
  readonly heads: Deferred.Deferred<ReadonlyMap<string, StreamHead>, StorageUnavailable>
}

export const makeSharedHeads = Effect.fnUntraced(function* (log: EventLog["Service"]) {
  const run = yield* FiberSet.makeRuntime<never>()
  const turn = Semaphore.makeUnsafe(1)
  /** The query that has not begun. */
  let next: Query | undefined

  const read = (query: Query) =>
    Effect.suspend(() => {
      next = undefined
      const names = Array.from(query.keys.keys())
      return Effect.map(
        log.heads(Array.from(query.keys.values())),
        (heads): ReadonlyMap<string, StreamHead> => new Map(names.map((name, i) => [name, heads[i]!]))
      )
    })
  const readHeads: ReadHeads = (keys) =>
    Effect.suspend(() => {
      const query = next ?? { keys: new Map(), heads: Deferred.makeUnsafe() }
      for (const key of keys) query.keys.set(streamName(key), key)
      if (next === undefined) {
        next = query
        run(Effect.asVoid(Deferred.into(turn.withPermit(read(query)), query.heads)))
      }
      return Effect.map(Deferred.await(query.heads), (heads) => keys.map((key) => heads.get(streamName(key))!))
    })
  return readHeads
})
