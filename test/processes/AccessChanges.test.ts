/** A user who loses access while connected is cut off in every process, over both protocols, and is refused afterwards. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import { makeAuthor, snapshotMessage, updateMessage } from "@sealog/server/testing"
import { Effect } from "effect"
import { connectRaw } from "../support/clients/RawSecsync.ts"
import { connectVerdant, post, refusedUpgrade, registerReplica } from "../support/clients/RawVerdant.ts"
import { connectClient } from "../support/secsync/SecsyncClient.ts"
import { mintToken, runCommand, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { freshStorage } from "../support/storage/databases.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { initialize, makeReplica } from "../support/verdant/Replica.ts"

const program = [join(import.meta.dirname, "../support/servers/servePolicy.ts")]

it.live("a removed user is cut off in both processes, and the others go on", () =>
  Effect.gen(function* () {
    const database = yield* freshStorage
    const removed = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "sealog-removed-"))),
      (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
    )
    const start = spawnServer(database, { program, args: ["--removed", removed] })
    const servers = yield* Effect.all([start, start], { concurrency: 2 })
    const id = randomName()
    const [one, two] = servers
    const libraries = [libraryOn(one, id), libraryOn(two, id)] as const
    const tokens = { ada: yield* mintToken(id, "ada"), grace: yield* mintToken(id, "grace") }

    const documentId = randomName()
    const author = makeAuthor()
    const snapshot = snapshotMessage(author, { docId: documentId })
    const open = (url: string, token: string) => connectRaw({ url, documentId, token })
    const grace = yield* open(one.url, tokens.grace)
    grace.send(snapshot)
    yield* grace.next("snapshot-saved")
    const graceElsewhere = yield* open(two.url, tokens.grace)
    const adas = [yield* open(one.url, tokens.ada), yield* open(two.url, tokens.ada)]
    const client = yield* connectClient({ url: two.url, documentId: randomName(), token: tokens.ada })
    yield* client.until("it is connected", () => client.connections() > 0)

    const enter = Effect.fnUntraced(function* (library: (typeof libraries)[number], userId: string) {
      const connection = yield* connectVerdant(library, yield* library.token({ userId }))
      const replica = makeReplica()
      yield* registerReplica(connection, replica)
      return { connection, replica }
    })
    const writer = yield* enter(libraries[0], "grace")
    const reader = yield* enter(libraries[1], "grace")
    const verdantAdas = [yield* enter(libraries[0], "ada"), yield* enter(libraries[1], "ada")]
    const push = yield* libraries[1].token({ userId: "ada", type: "push" })
    const poller = makeReplica()
    assert.strictEqual((yield* post(libraries[1], push, [poller.sync({ resyncAll: true })])).status, 200)

    const response = yield* Effect.promise(() =>
      fetch(`${one.url.replace("ws", "http")}/remove/${id}/ada`, { method: "POST" })
    )
    assert.strictEqual(response.status, 200)
    // The process where the change was made has cut the user off; what is written from now on does not reach her there.
    const { snapshotId: refSnapshotId } = snapshot.publicData
    grace.send(updateMessage(author, { docId: documentId, refSnapshotId, clock: 0 }))
    yield* grace.next("update-saved")
    writer.connection.send(writer.replica.op(writer.replica.operation("item/x", initialize({ id: "x" }))))
    yield* writer.connection.next("server-ack")

    for (const ada of adas) {
      assert.deepStrictEqual(yield* ada.closed, { code: 4403, reason: "not allowed" })
      assert.strictEqual(ada.frames.at(-1)?.type, "unauthorized")
    }
    assert.isFalse(adas[0]!.frames.some(({ type }) => type === "update"))
    for (const { connection } of verdantAdas) {
      assert.deepStrictEqual(yield* connection.closed, { code: 4403, reason: "not allowed" })
    }
    assert.isFalse(verdantAdas[0]!.connection.messages.some(({ type }) => type === "op-re"))
    yield* client.until("it is refused", () => client.state() === "noAccess")
    const poll = yield* post(libraries[1], push, [poller.sync({ since: poller.now() })])
    assert.deepStrictEqual({ status: poll.status, body: poll.body }, { status: 403, body: { code: 4030 } })
    for (const library of libraries) {
      assert.strictEqual(yield* refusedUpgrade(library, ["Bearer", yield* library.token({ userId: "ada" })]), 403)
    }

    yield* graceElsewhere.next("update")
    yield* reader.connection.next("op-re")
    assert.isTrue([grace, graceElsewhere, writer.connection, reader.connection].every(({ isOpen }) => isOpen()))
    const replayed = yield* runCommand(database, "replay")
    assert.strictEqual(replayed.exitCode, 0, replayed.stdout + replayed.stderr)
  })
)
