/** Real clients on documents of any id that a URL carries, and the commands that name them. */
import { assert, describe, it } from "@effect/vitest"
import { DocumentId, decodeDocumentId } from "@sealog/server/domain/Ids"
import { Effect } from "effect"
import { connectRaw } from "../support/clients/RawSecsync.ts"
import { connectClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { mintToken, runCommand, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName, startServer } from "../support/servers/TestServer.ts"
import { freshStorage } from "../support/storage/databases.ts"

const IDS = [
  "team/notes",
  "Übersicht",
  "a b",
  "100%",
  "a%2Fb",
  "ada+notes@example.org",
  "x".repeat(200),
  "👩‍👩‍👧".repeat(40),
  "'; DROP TABLE events; --",
  "constructor"
]

/** Two clients write one document, and a third one, which is given the token's own list of ids, loads it. */
const writeAndLoad = Effect.fnUntraced(function* (url: string, documentId: string, token: string, narrow: string) {
  const clients = yield* Effect.all([
    connectClient({ url, documentId, token }),
    connectClient({ url: `${url}/`, documentId, token })
  ])
  yield* untilAll(clients, "both have loaded", (client) => client.isSettled())
  for (const [i, client] of clients.entries()) {
    client.write(`of ${i}`)
    yield* untilAll(clients, "both have it", (client) => client.isSettled() && client.list().length === i + 1)
  }
  const newcomer = yield* connectClient({ url, documentId, token: narrow })
  yield* newcomer.until("it has loaded", () => newcomer.list().length === 2)
  assert.deepStrictEqual(newcomer.list(), ["of 0", "of 1"])
})

describe("ids of documents", () => {
  it.live("clients share a document of any id that a URL carries", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = randomName()
      const token = yield* server.token(library)
      for (const id of IDS) {
        const narrow = yield* server.token(library, { documents: [DocumentId.make(id)] })
        yield* writeAndLoad(server.url, id, token, narrow)
      }
      // An app that encodes its ids itself has the same document as one that does not.
      yield* writeAndLoad(server.url, encodeURIComponent("Über sicht"), token, token)
      const plain = yield* connectRaw({ url: server.url, documentId: "Über sicht", token })
      assert.isDefined(plain.first["snapshot"])
    })
  )

  it.live("commands name documents of any id, and an export holds them", () =>
    Effect.gen(function* () {
      const database = yield* freshStorage
      const server = yield* spawnServer(database, { args: ["--secsync-path", "/sync/"] })
      const library = randomName()
      const token = yield* mintToken(library)
      for (const id of IDS) yield* writeAndLoad(`${server.url}/sync`, id, token, token)
      const command = (...args: ReadonlyArray<string>) =>
        Effect.map(runCommand(database, ...args), ({ exitCode, stdout, stderr }) => {
          assert.strictEqual(exitCode, 0, stdout + stderr)
          return JSON.parse(stdout)
        })
      const listed = yield* command("document", "list", library, "--sort", "name")
      const names = listed.documents.map(({ documentId }: { documentId: string }) => documentId)
      assert.deepStrictEqual(names.toSorted(), IDS.toSorted())
      for (const id of ["team/notes", "100%", "👩‍👩‍👧".repeat(40), "'; DROP TABLE events; --"]) {
        const shown = yield* command("document", "show", library, id)
        assert.strictEqual(shown.documentId, id)
        const events = yield* command("events", library, id)
        assert.strictEqual(events.events[0].streamId, id)
        const replayed = yield* command("replay", "--library", library, `--document=${id}`)
        assert.deepStrictEqual([replayed.streams, replayed.problemCount], [1, 0])
        yield* command("prune", library, `--document=${id}`, "--dry-run")
      }
      const encoded = yield* command("document", "show", library, encodeURIComponent("Übersicht"))
      assert.strictEqual(encoded.documentId, "Übersicht")
      const copy = yield* freshStorage
      yield* command("replay", "--library", library, "--to", copy)
      const copied = yield* runCommand(copy, "document", "show", library, "team/notes")
      assert.strictEqual(JSON.parse(copied.stdout).documentId, "team/notes")
      const minted = yield* command("token", "mint", "--library", library, "--user", "ada", "--document", "team/notes")
      yield* writeAndLoad(`${server.url}/sync`, "team/notes/2", token, token)
      const narrow = yield* connectRaw({ url: `${server.url}/sync`, documentId: "team/notes", token: minted.token })
      assert.strictEqual(narrow.first.type, "document")
      const other = yield* connectRaw({ url: `${server.url}/sync`, documentId: "team/notes/2", token: minted.token })
      assert.strictEqual(other.first.type, "unauthorized")
      const evicted = yield* command("evict", library, "--document", "100%", "--yes")
      assert.deepStrictEqual(
        evicted.documents.map(({ documentId }: { documentId: string }) => documentId),
        ["100%"]
      )
    })
  )

  it.live("a path that names no document is refused", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ secsync: { path: "/sync" } })
      const token = yield* server.token(randomName())
      for (const id of ["@library", "x".repeat(201)]) {
        const client = yield* connectClient({ url: `${server.url}/sync`, documentId: id, token })
        yield* client.until("it is refused", () => client.state() === "failed")
      }
      const outside = yield* connectRaw({ url: server.url, documentId: decodeDocumentId("sync2/a"), token })
      assert.strictEqual(outside.first.type, "document-error")
    })
  )
})
