/**
 * Reads a stream from where its newest checkpoint says that reading begins, page by page. Other work of the process comes in
 * between, so a long tail holds nothing up.
 */
import { Clock, Effect } from "effect"
import { advance, emptyHead, readsFrom, type StreamHead, type StreamKey } from "../domain/Stream.ts"
import { inTurns } from "../internal/inTurns.ts"
import { monotonicMillis } from "../internal/monotonicMillis.ts"
import { nextSlice, TURN_MILLIS } from "../internal/nextTurn.ts"
import type { EventLog, PlacedEvent } from "../ports/EventLog.ts"

/** A page takes some milliseconds to read. */
const [PAGE_EVENTS, PAGE_BYTES] = [500, 128 * 1024] as const

export interface FoldedTail<A> {
  readonly head: StreamHead
  readonly value: A
}

/**
 * Applies `step` to each event of the tail, oldest first, with its payload. The steps of `prepare` are done before. It starts again if a payload was purged while it reads,
 * because of a newer checkpoint.
 */
export const foldTail = Effect.fnUntraced(function* <A>(
  log: EventLog["Service"],
  key: StreamKey,
  start: () => A,
  step: (before: A, placed: PlacedEvent) => A,
  prepare?: (before: A, placed: PlacedEvent) => Generator<undefined, void, void> | undefined
) {
  const clock = yield* Clock.Clock
  const newestCheckpoint = Effect.map(log.streams({ ...key, limit: 1, payloads: false }), ([found]) => found)
  while (true) {
    const stream = yield* newestCheckpoint
    let tail: FoldedTail<A> = { head: emptyHead, value: start() }
    if (stream === undefined) return tail
    let after = (yield* beginOf(log, key, stream.checkpoint)) - 1
    let isOutdated = false
    while (after < stream.version) {
      const page = yield* log.read(key, { after, limit: PAGE_EVENTS, maxBytes: PAGE_BYTES })
      if (page.length === 0) break
      if (page.some(({ event, payload }) => payload === null && event.payloadHash !== "")) {
        isOutdated = (yield* newestCheckpoint)?.checkpoint !== stream.checkpoint
      }
      if (isOutdated) break
      yield* nextSlice
      let begun = monotonicMillis(clock)
      for (const placed of page) {
        const steps = prepare?.(tail.value, placed)
        if (steps !== undefined) yield* inTurns(steps)
        tail = stepped(tail, placed, step)
        if (monotonicMillis(clock) - begun < TURN_MILLIS) continue
        yield* nextSlice
        begun = monotonicMillis(clock)
      }
      after = tail.head.version
    }
    if (!isOutdated) return tail
  }
})

const beginOf = Effect.fnUntraced(function* (log: EventLog["Service"], key: StreamKey, checkpoint: number) {
  if (checkpoint === 0) return 1
  const [found] = yield* log.read(key, { after: checkpoint - 1, limit: 1, payloads: false })
  return found === undefined ? checkpoint : readsFrom(found.event)
})

const stepped = <A>(
  { head, value }: FoldedTail<A>,
  placed: PlacedEvent,
  step: (before: A, placed: PlacedEvent) => A
): FoldedTail<A> => ({
  head: advance({ ...head, generation: placed.event.generation }, placed.event),
  value: step(value, placed)
})
