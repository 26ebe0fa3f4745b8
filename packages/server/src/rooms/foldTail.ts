/**
 * Reads a stream from where its newest checkpoint says that reading begins, page by page. Other work of the process comes in
 * between, so a long tail holds nothing up.
 */
import { Clock, Effect } from "effect"
import type { LongWork } from "../domain/LongWork.ts"
import { advance, emptyHead, readsFrom, type StreamHead, type StreamKey } from "../domain/Stream.ts"
import { monotonicMillis } from "../internal/monotonicMillis.ts"
import { nextSlice, TURN_MILLIS } from "../internal/nextTurn.ts"
import type { EventLog, LogDamaged, PlacedEvent } from "../ports/EventLog.ts"
import { isBehind } from "./isBehind.ts"
import { inLine } from "./LongWorkLine.ts"
import { gapBefore, wrongHead } from "./VerifiedEventLog.ts"

/** A page takes some milliseconds to read. */
const [PAGE_EVENTS, PAGE_BYTES] = [500, 128 * 1024] as const

export interface FoldedTail<A> {
  readonly head: StreamHead
  readonly value: A
}

/**
 * Applies `step` to each event of the tail, oldest first, with its payload. The steps of `prepare` are done before. It starts again if a payload was purged while it reads,
 * because of a newer checkpoint. Dies of `LogDamaged` if the events do not follow each other up to the stream's head.
 */
export const foldTail = Effect.fnUntraced(function* <A>(
  log: EventLog["Service"],
  key: StreamKey,
  start: () => A,
  step: (before: A, placed: PlacedEvent) => A,
  prepare?: (before: A, placed: PlacedEvent) => LongWork | undefined
) {
  const clock = yield* Clock.Clock
  const newestCheckpoint = Effect.map(log.streams({ ...key, limit: 1, payloads: false }), ([found]) => found)
  /** Dies of damage, unless the log was restored from a backup while it was read: then it is read again. */
  const dieOf = Effect.fnUntraced(function* (damage: LogDamaged, stream: StreamHead) {
    if (!isBehind((yield* newestCheckpoint) ?? emptyHead, stream)) return yield* Effect.die(damage)
  })
  while (true) {
    const stream = yield* newestCheckpoint
    let tail: FoldedTail<A> = { head: emptyHead, value: start() }
    if (stream === undefined) return tail
    let before: Pick<StreamHead, "version" | "chain"> = yield* headBefore(log, key, stream.checkpoint)
    let isOutdated = false
    while (before.version < stream.version) {
      const page = yield* log.read(key, { after: before.version, limit: PAGE_EVENTS, maxBytes: PAGE_BYTES })
      const gap = gapBefore(key, before, page[0]?.event)
      if (gap !== undefined) {
        yield* dieOf(gap, stream)
        isOutdated = true
      } else if (page.some(({ event, payload }) => payload === null && event.payloadHash !== "")) {
        isOutdated = (yield* newestCheckpoint)?.checkpoint !== stream.checkpoint
      }
      if (isOutdated) break
      yield* nextSlice
      let begun = monotonicMillis(clock)
      for (const placed of page) {
        const long = prepare?.(tail.value, placed)
        if (long !== undefined) yield* inLine(long)
        tail = stepped(tail, placed, step)
        if (monotonicMillis(clock) - begun < TURN_MILLIS) continue
        yield* nextSlice
        begun = monotonicMillis(clock)
      }
      before = tail.head
    }
    if (isOutdated) continue
    if (tail.head.version !== stream.version || tail.head.chain === stream.chain) return tail
    yield* dieOf(wrongHead(key, stream.version), stream)
  }
})

/** The head after which the tail begins. "" at version 0, and where the event is missing. */
const headBefore = Effect.fnUntraced(function* (log: EventLog["Service"], key: StreamKey, checkpoint: number) {
  if (checkpoint === 0) return { version: 0, chain: "" } as const
  const found = yield* log.read(key, { after: Math.max(0, checkpoint - 2), limit: 2, payloads: false })
  const at = found.find(({ event }) => event.version === checkpoint)
  const version = (at === undefined ? checkpoint : readsFrom(at.event)) - 1
  if (version === 0) return { version, chain: "" } as const
  const [before] =
    version === checkpoint - 1 ? found : yield* log.read(key, { after: version - 1, limit: 1, payloads: false })
  return { version, chain: before?.event.version === version ? before.event.chain : ("" as const) }
})

const stepped = <A>(
  { head, value }: FoldedTail<A>,
  placed: PlacedEvent,
  step: (before: A, placed: PlacedEvent) => A
): FoldedTail<A> => ({
  head: advance({ ...head, generation: placed.event.generation }, placed.event),
  value: step(value, placed)
})
