/** Raw clients that write under load and count acknowledgements, so that a test can compare them with the log. */
import { assert } from "@effect/vitest"
import type { LibraryId } from "@sealog/server/domain/Ids"
import { EventLog } from "@sealog/server/ports/EventLog"
import { type Author, makeAuthor, type SealedUpdate, snapshotMessage, updateMessage } from "@sealog/server/testing"
import { Effect, type Scope } from "effect"
import { connectRaw, type RawSecsync, type ServerFrame } from "../clients/RawSecsync.ts"
import { layerOf } from "../storage/databases.ts"

/** The updates that a writer has in flight. */
const AHEAD = 24

export interface Writer {
  readonly author: Author
  readonly documentId: string
  /** Every update so far, by clock. */
  readonly sent: Array<SealedUpdate>
  acknowledged: number
}

export const makeWriter = (documentId: string): Writer => ({
  author: makeAuthor(),
  documentId,
  sent: [],
  acknowledged: 0
})

/** Stores a document's first snapshot. */
export const begin = Effect.fnUntraced(function* (url: string, documentId: string, token: string) {
  const client = yield* connectRaw({ url, documentId, token })
  client.send(snapshotMessage(makeAuthor(), { docId: documentId }))
  yield* client.next("snapshot-saved")
})

/**
 * Sends unacknowledged updates again, and then keeps some updates in flight. Asserts that the server acknowledges updates in
 * order, and none after a refused one.
 */
export const writeOn: (
  url: string,
  writer: Writer,
  token: string,
  onAcknowledged?: () => void
) => Effect.Effect<RawSecsync, never, Scope.Scope> = Effect.fnUntraced(function* (
  url: string,
  writer: Writer,
  token: string,
  onAcknowledged = () => {}
) {
  const { author, documentId, sent } = writer
  const client = yield* connectRaw({ url, documentId, token })
  const { publicData } = client.first["snapshot"] as { readonly publicData: { readonly snapshotId: string } }
  let next = writer.acknowledged
  let isRefused = false
  const send = () => {
    const clock = next++
    sent[clock] ??= updateMessage(author, { docId: documentId, refSnapshotId: publicData.snapshotId, clock })
    client.send(sent[clock])
  }
  client.onFrame((frame: ServerFrame) => {
    if (frame.type === "update-save-failed") isRefused = true
    if (frame.type !== "update-saved") return
    assert.isFalse(isRefused, "no update after a refused one is acknowledged")
    assert.strictEqual(frame["clock"], writer.acknowledged)
    writer.acknowledged += 1
    onAcknowledged()
    if (client.isOpen()) send()
  })
  while (next < writer.acknowledged + AHEAD) send()
  return client
})

/** Asserts that every acknowledged update is stored, and that all stored updates are as sent, once and in order. */
export const assertStored = Effect.fnUntraced(function* (
  database: string,
  libraryId: LibraryId,
  writers: ReadonlyArray<Writer>,
  what: string
) {
  const stored = yield* readUpdates(database, libraryId, [...new Set(writers.map(({ documentId }) => documentId))])
  for (const { author, sent, acknowledged } of writers) {
    const found = stored.filter(({ publicData }) => publicData.pubKey === author.pubKey)
    assert.deepStrictEqual(
      found.map(({ publicData }) => publicData.clock),
      found.map((_, i) => i),
      what
    )
    assert.isAtLeast(found.length, acknowledged, what)
    assert.deepStrictEqual(
      found.map(({ ciphertext }) => ciphertext),
      sent.slice(0, found.length).map(({ ciphertext }) => ciphertext)
    )
  }
})

const readUpdates = (database: string, libraryId: LibraryId, documentIds: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const log = yield* EventLog
    const streams = yield* Effect.forEach(documentIds, (streamId) => log.read({ libraryId, streamId }, { after: 0 }))
    return streams.flatMap((events) =>
      events
        .filter(({ event }) => event.type === "UpdateStored")
        .map(({ payload }): SealedUpdate => JSON.parse(Buffer.from(payload ?? []).toString()))
    )
  }).pipe(Effect.provide(layerOf(database)), Effect.orDie)
