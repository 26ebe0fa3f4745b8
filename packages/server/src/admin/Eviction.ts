/**
 * Evicting documents: their sealed bytes go, their events stay. Clients that still have a document restore it; what no
 * client has is gone.
 */
import { Clock, Effect, Result } from "effect"
import type { DocumentId, LibraryId } from "../domain/Ids.ts"
import * as Secsync from "../domain/Secsync.ts"
import { place, type StreamKey } from "../domain/Stream.ts"
import { EventLog } from "../EventLog.ts"
import { Signals } from "../Signals.ts"

/** Documents listed at a time. */
const PAGE = 200
const ORIGIN = "sync-admin evict"

export interface EvictedDocument {
  readonly documentId: string
  readonly events: number
  readonly payloadBytes: number
}

/**
 * Evicts the documents of a library, or one of them, each in a transaction of its own: what was interrupted goes on
 * where it stopped when it is called again. Documents that are evicted already are left out. With `dryRun` nothing is
 * changed, and the answer says what would be.
 */
export const evict = Effect.fn("evict")(function* (options: {
  readonly libraryId: LibraryId
  readonly documentId?: DocumentId
  readonly dryRun?: boolean
}) {
  const log = yield* EventLog
  const evicted: Array<EvictedDocument> = []
  let after: StreamKey | undefined
  while (true) {
    const page = yield* log.streams({
      libraryId: options.libraryId,
      limit: PAGE,
      ...(options.documentId && { streamId: options.documentId }),
      ...(after && { after })
    })
    for (const { key, version, payloadBytes } of page) {
      // Our own streams are not documents.
      if (key.streamId.startsWith("@")) continue
      if (yield* evictStream(key, options.dryRun === true)) {
        evicted.push({ documentId: key.streamId, events: version, payloadBytes })
      }
    }
    after = page.at(-1)?.key
    if (page.length < PAGE) return evicted
  }
})

/** Whether there was something to evict. */
const evictStream = Effect.fnUntraced(function* (key: StreamKey, dryRun: boolean) {
  const log = yield* EventLog
  const signals = yield* Signals
  while (true) {
    const { head, events } = yield* log.tail(key, { payloads: false })
    const state = Secsync.fold(
      key.streamId as DocumentId,
      events.map(({ event }) => event)
    )
    const decision = Secsync.decide(state, { _tag: "Evict" })
    if (Result.isFailure(decision)) return false
    if (dryRun) return true
    const event = place(key, head, Secsync.toNewEvent(decision.success, ""), ORIGIN, yield* Clock.currentTimeMillis)
    const [result] = yield* log.append([
      { key, expectedVersion: head.version, events: [{ event, payload: null }], purgeBefore: event.version }
    ])
    // A conflict: somebody wrote meanwhile, and that is evicted as well.
    if (result?._tag === "Committed") {
      yield* signals.announce([key])
      return true
    }
  }
})
