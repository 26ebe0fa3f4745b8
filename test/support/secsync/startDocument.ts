/** The usual start of a test of one document: its first snapshot is stored, and its author is connected. */
import { LibraryId } from "@sealog/server/domain/Ids"
import { makeAuthor, snapshotMessage } from "@sealog/server/testing"
import { Effect } from "effect"
import { connectRaw } from "../clients/RawSecsync.ts"
import type { TestServer } from "../servers/TestServer.ts"

/** Stores a document's first snapshot, in a library of its own. */
export const startDocument = Effect.fnUntraced(function* (server: TestServer) {
  const libraryId = LibraryId.make(crypto.randomUUID())
  const options = { url: server.url, documentId: crypto.randomUUID(), token: yield* server.token(libraryId) }
  const author = makeAuthor()
  const client = yield* connectRaw(options)
  const snapshot = snapshotMessage(author, { docId: options.documentId })
  client.send(snapshot)
  yield* client.next("snapshot-saved")
  return {
    ...{ options, author, client, snapshot },
    docId: options.documentId,
    refSnapshotId: snapshot.publicData.snapshotId,
    key: { libraryId, streamId: options.documentId }
  }
})
