/** Documents that a test damages: they are served whole, or not at all. */
import { assert } from "@effect/vitest"
import { updateMessage } from "@sealog/server/testing"
import { Array, Effect } from "effect"
import { openRaw, type RawSecsyncOptions } from "../clients/RawSecsync.ts"
import type { TestServer } from "../servers/TestServer.ts"
import { startDocument } from "./startDocument.ts"

/** Updates of each document. */
const UPDATES = 5

/** Stores some documents, each with a snapshot and the same number of updates. */
export const storeDocuments = Effect.fnUntraced(function* (server: TestServer, count: number) {
  const documents = yield* Effect.forEach(Array.range(1, count), () => startDocument(server))
  for (const { author, client, docId, refSnapshotId } of documents) {
    for (const clock of Array.range(0, UPDATES - 1)) {
      client.send(updateMessage(author, { docId, refSnapshotId, clock, ciphertext: 300 }))
      yield* client.next("update-saved")
    }
  }
  return documents
})

/** Opens such a document, and asserts that it is served whole, or closed as damaged. */
export const openWhole = Effect.fnUntraced(function* (options: RawSecsyncOptions, what: string) {
  const client = yield* openRaw(options)
  return yield* Effect.raceFirst(
    Effect.map(client.next("document"), ({ snapshot, updates }) => {
      assert.isDefined(snapshot, what)
      assert.lengthOf(updates as ReadonlyArray<unknown>, UPDATES, what)
      return "whole" as const
    }),
    Effect.map(client.closed, (close) => {
      assert.deepStrictEqual(close, { code: 1011, reason: "the log is damaged" }, what)
      return "closed" as const
    })
  )
})
