/** Documents of a secsync-server as the setup guide builds it: their real clients go on here. */
import { assert, describe, it } from "@effect/vitest"
import { Array, Effect } from "effect"
import { connectClient, type SecsyncClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { startGuideServer } from "../support/servers/GuideServer.ts"
import { mintToken, runCommand, spawnServer } from "../support/servers/ServerProcess.ts"
import { emptyDatabase, freshStorage } from "../support/storage/databases.ts"

const LIBRARY = "moved"
const DOCUMENT = "team/notes"
/** The items that clients have written on the other server. */
const ITEMS = 20

/** The content of a client's device, as it connects to the next server. */
const deviceOf = (client: SecsyncClient) => ({ doc: client.doc, known: client.known() })

const writeAll = Effect.fnUntraced(function* (client: SecsyncClient, items: ReadonlyArray<string>) {
  for (const item of items) {
    client.write(item)
    yield* client.until(`${item} is stored`, client.isSettledOnActive)
  }
})

/** Documents on the guide's server, written by real clients that have left. */
const makeGuide = Effect.gen(function* () {
  const old = yield* emptyDatabase
  const guide = yield* startGuideServer(old)
  const connect = (documentId: string, snapshotEvery?: number) =>
    connectClient({ url: guide.url, documentId, token: "any", ...(snapshotEvery && { snapshotEvery }) })
  const early = yield* connect(DOCUMENT)
  yield* early.until("it has loaded", early.isSettled)
  yield* writeAll(early, ["1", "2"])
  early.disconnect()
  const writer = yield* connect(DOCUMENT, 3)
  yield* writer.until("it has loaded", () => writer.isSettled() && writer.list().length === 2)
  yield* writeAll(writer, Array.range(3, ITEMS).map(String))
  const reader = yield* connect(DOCUMENT)
  yield* reader.until("it has all", () => reader.list().length === ITEMS)
  yield* connect("empty").pipe(Effect.flatMap((client) => client.until("it has loaded", client.isSettled)))
  for (const client of [writer, reader]) client.disconnect()
  const command = (database: string, ...args: ReadonlyArray<string>) =>
    Effect.map(
      runCommand(database, "import", "secsync", old, "--library", LIBRARY, ...args),
      ({ exitCode, stdout }) => ({
        exitCode,
        ...(JSON.parse(stdout) as { documents: ReadonlyArray<Record<string, unknown>> })
      })
    )
  return { guide, command, early, writer, reader }
})

describe("documents of a secsync-server", () => {
  it.live("are imported with their proofs, and their clients go on where they are", () =>
    Effect.gen(function* () {
      const { command, early, guide, reader, writer } = yield* makeGuide
      const database = yield* freshStorage
      const planned = yield* command(database, "--dry-run")
      const done = yield* command(database)
      assert.strictEqual(done.exitCode, 0, JSON.stringify(done))
      assert.deepStrictEqual(planned.documents, done.documents)
      const [empty, notes] = done.documents
      assert.deepStrictEqual([empty?.["documentId"], empty?.["outcome"]], ["empty", "empty"])
      const [{ snapshots }] = (yield* guide.query(`SELECT count(*)::int AS snapshots FROM "Snapshot"`)) as [
        { snapshots: number }
      ]
      assert.isAbove(snapshots, 2)
      assert.deepStrictEqual(
        [notes?.["documentId"], notes?.["outcome"], notes?.["snapshots"], notes?.["leftOut"]],
        [DOCUMENT, "imported", snapshots, 0]
      )
      const again = yield* command(database)
      assert.strictEqual(again.exitCode, 1)
      assert.deepStrictEqual(
        again.documents.map(({ outcome }) => outcome),
        ["present", "present"]
      )
      const replayed = yield* runCommand(database, "replay")
      assert.strictEqual(JSON.parse(replayed.stdout).problemCount, 0, replayed.stdout)

      const server = yield* spawnServer(database, { args: ["--no-create-documents"] })
      const token = yield* mintToken(LIBRARY)
      // The device of `early` knows an older snapshot, and is sent the proof chain from there.
      const clients = yield* Effect.forEach([early, writer, reader], (client) =>
        connectClient({ url: server.url, documentId: DOCUMENT, token, from: deviceOf(client) })
      )
      yield* untilAll(clients, "all have all", (client) => client.isSettled() && client.list().length === ITEMS)
      for (const [i, client] of clients.entries()) {
        client.write(`afterwards ${i}`)
        yield* untilAll(
          clients,
          "all have it",
          (client) => client.isSettled() && client.list().length === ITEMS + 1 + i
        )
      }
      assert.deepStrictEqual(
        clients.map((client) => [client.connections(), client.errors().length]),
        [
          [1, 0],
          [1, 0],
          [1, 0]
        ]
      )
      const newcomer = yield* connectClient({ url: server.url, documentId: DOCUMENT, token })
      yield* newcomer.until("it has all", () => newcomer.list().length === ITEMS + 3)
      const inEmpty = yield* connectClient({ url: server.url, documentId: "empty", token })
      yield* inEmpty.until("it has loaded", inEmpty.isSettled)
      inEmpty.write("first")
      yield* inEmpty.until("it is stored", inEmpty.isSettled)
    })
  )

  it.live("begin later if their history is damaged, and are refused if their newest state is", () =>
    Effect.gen(function* () {
      const { command, guide, writer } = yield* makeGuide
      const database = yield* freshStorage
      // An older snapshot of which only the row is left.
      yield* guide.query(
        `UPDATE "Snapshot" SET data = '{}' WHERE "createdAt" = (SELECT min("createdAt") FROM "Snapshot")`
      )
      yield* guide.query(`INSERT INTO "Document" (id) VALUES ('@reserved'), ('forged')`)
      yield* guide.query(
        `INSERT INTO "Snapshot" SELECT 'f', 0, replace(s.data, '"nonce":"', '"nonce":"A'), '', 'forged', now(), '{}', '{}', ''
          FROM "Snapshot" s JOIN "Document" d ON d."activeSnapshotId" = s.id WHERE d.id = '${DOCUMENT}'`
      )
      yield* guide.query(`UPDATE "Document" SET "activeSnapshotId" = 'f' WHERE id = 'forged'`)
      const { documents, exitCode } = yield* command(database)
      assert.strictEqual(exitCode, 1)
      const outcomes = Object.fromEntries(documents.map(({ documentId, outcome }) => [documentId, outcome]))
      assert.deepStrictEqual(outcomes, {
        ...{ "@reserved": "refused", empty: "empty", forged: "refused", [DOCUMENT]: "imported" }
      })
      const replayed = yield* runCommand(database, "replay")
      assert.strictEqual(JSON.parse(replayed.stdout).problemCount, 0, replayed.stdout)
      const server = yield* spawnServer(database)
      const options = { url: server.url, documentId: DOCUMENT, token: yield* mintToken(LIBRARY) }
      const device = yield* connectClient({ ...options, from: deviceOf(writer) })
      yield* device.until("it has all", () => device.isSettled() && device.list().length === ITEMS)
      yield* writeAll(device, ["afterwards"])
    })
  )
})
