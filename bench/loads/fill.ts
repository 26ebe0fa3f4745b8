/**
 * Fills a log without a server: documents of one snapshot and some updates, of the sizes that clients send. All share one
 * copied signature, because signing would take longest and the scenarios do not verify it.
 */

import { makeAuthor, snapshotMessage, updateMessage } from "@sealog/server/testing"
import { PgStorage } from "@sealog/storage-pg"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Effect, Result } from "effect"
import { isArrayNonEmpty } from "effect/Array"
import { blake2b256 } from "#server/domain/Blake2b"
import { DocumentId, LibraryId } from "#server/domain/Ids"
import { advance, emptyHead, place } from "#server/domain/Stream"
import { decide } from "#server/domain/secsync/Decide"
import { toNewEvent } from "#server/domain/secsync/Events"
import { evolve, initial } from "#server/domain/secsync/State"
import { type Append, EventLog, type PlacedEvent } from "#server/ports/EventLog"
import { type ClientMessage, makeDecoder } from "#server/protocols/secsync/Wire"

export interface Fill {
  /** The URL of a migrated database. */
  readonly database: string
  readonly libraryId: string
  readonly documents: number
  /** Events of each document, its snapshot included. */
  readonly events: number
}

const STREAMS_PER_COMMIT = 500

const decode = makeDecoder()
const author = makeAuthor()
const snapshot = snapshotMessage(author, { docId: "d", ciphertext: 1000 })
const update = updateMessage(author, { docId: "d", refSnapshotId: snapshot.publicData.snapshotId, clock: 0 })

const messagesOf = (docId: string, events: number): ReadonlyArray<ClientMessage> => [
  decode(JSON.stringify({ ...snapshot, publicData: { ...snapshot.publicData, docId } })),
  ...Array.from({ length: events - 1 }, (_, clock) =>
    decode(JSON.stringify({ ...update, publicData: { ...update.publicData, docId, clock } }))
  )
]

const appendOf = (key: Append["key"], messages: ReadonlyArray<ClientMessage>): Append => {
  let state = initial(DocumentId.make(key.streamId))
  let head = emptyHead
  const events: Array<PlacedEvent> = []
  for (const message of messages) {
    if (message._tag !== "Snapshot" && message._tag !== "Update") throw new Error(message._tag)
    const payloadHash = blake2b256(message.payload)
    const decision = decide(
      state,
      message._tag === "Snapshot"
        ? { ...message, _tag: "StoreSnapshot", payloadHash, used: false, sentEverything: true }
        : { ...message, _tag: "StoreUpdate", payloadHash, snapshotDueAfter: Number.POSITIVE_INFINITY }
    )
    if (Result.isFailure(decision)) throw new Error(decision.failure._tag)
    const event = place(key, head, toNewEvent(decision.success, payloadHash), "bench", Date.now())
    state = evolve(state, decision.success, payloadHash)
    head = advance(head, event)
    events.push({ event, payload: message.payload })
  }
  if (!isArrayNonEmpty(events)) throw new Error("no events")
  return { key, expectedVersion: 0, events }
}

export const prepare = async ({ database, libraryId, documents, events }: Fill): Promise<() => Promise<object>> => {
  const layer = database.startsWith("sqlite:")
    ? SqliteStorage.layer({ filename: database.slice("sqlite:".length) })
    : PgStorage.layer({ url: database })
  return async () => {
    await Effect.gen(function* () {
      const log = yield* EventLog
      for (let from = 0; from < documents; from += STREAMS_PER_COMMIT) {
        const batch = Array.from({ length: Math.min(STREAMS_PER_COMMIT, documents - from) }, (_, i) => {
          const streamId = `filled-${from + i}`
          return appendOf({ libraryId: LibraryId.make(libraryId), streamId }, messagesOf(streamId, events))
        })
        if (isArrayNonEmpty(batch)) yield* log.append(batch)
      }
    }).pipe(Effect.provide(layer), Effect.runPromise)
    return { events: documents * events }
  }
}
