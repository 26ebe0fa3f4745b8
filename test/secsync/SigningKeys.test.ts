/** A server that binds users to the signing keys that it sees first. */
import { assert, describe, it } from "@effect/vitest"
import { ephemeralMessage, makeAuthor, snapshotMessage, updateMessage } from "@sealog/server/testing"
import { Array, Effect } from "effect"
import { inject } from "vitest"
import { connectRaw } from "../support/clients/RawSecsync.ts"
import { connectClient } from "../support/secsync/SecsyncClient.ts"
import { runCommand } from "../support/servers/ServerProcess.ts"
import { randomName, startServer } from "../support/servers/TestServer.ts"

/** Two servers on Postgres, and one on SQLite, which serves one process. */
const startServers = Effect.gen(function* () {
  const first = yield* startServer({ secsync: { keysPerUser: 2 } })
  if (inject("storage") === "SQLite") return [first, first] as const
  return [first, yield* startServer({ secsync: { keysPerUser: 2 }, database: first.database })] as const
})

describe("users bound to their signing keys", () => {
  it.live("write with the keys that were seen first, on every server, until those are forgotten", () =>
    Effect.gen(function* () {
      const [server, other] = yield* startServers
      const [library, docId] = [randomName(), randomName()]
      const [laptop, phone, stolen] = [makeAuthor(), makeAuthor(), makeAuthor()]
      const connect = (on: typeof server, userId: string, request = {}) =>
        Effect.flatMap(server.token(library, { userId, ...request }), (token) =>
          connectRaw({ url: on.url, documentId: docId, token, silent: true })
        )
      const ada = yield* connect(server, "ada")
      const snapshot = snapshotMessage(laptop, { docId })
      ada.send(snapshot)
      yield* ada.next("snapshot-saved")
      const { snapshotId: refSnapshotId } = snapshot.publicData
      const elsewhere = yield* connect(other, "ada")
      elsewhere.send(updateMessage(phone, { docId, refSnapshotId, clock: 0 }))
      yield* elsewhere.next("update-saved")
      // Another key than those two, and another user with one of them.
      ada.send(updateMessage(stolen, { docId, refSnapshotId, clock: 0 }))
      assert.strictEqual((yield* ada.closed).code, 4403)
      const mallory = yield* connect(other, "mallory")
      mallory.send(ephemeralMessage(laptop, { docId }))
      assert.strictEqual((yield* mallory.closed).code, 4403)
      // A key that only claims to be the user's binds nobody.
      const forger = yield* connect(server, "forger")
      forger.send({ ...updateMessage(stolen, { docId, refSnapshotId, clock: 0 }), signature: "A".repeat(86) })
      yield* forger.next("update-save-failed")
      const listed = yield* connect(server, "ada", { signingKeys: [stolen.pubKey] })
      listed.send(updateMessage(stolen, { docId, refSnapshotId, clock: 0 }))
      yield* listed.next("update-saved")

      const run = (...args: ReadonlyArray<string>) =>
        Effect.map(runCommand(server.database, ...args), ({ exitCode, stdout, stderr }) => {
          assert.strictEqual(exitCode, 0, stdout + stderr)
          return JSON.parse(stdout)
        })
      assert.isTrue((yield* run("token", "keys", "forget", library, "ada", "--as", "grace")).changed)
      const again = yield* connect(other, "ada")
      again.send(updateMessage(makeAuthor(), { docId, refSnapshotId, clock: 0 }))
      yield* again.next("update-saved")
      assert.strictEqual((yield* run("replay", "--library", library)).problemCount, 0)
    })
  )

  it.live("use as many real clients as they may have keys", () =>
    Effect.gen(function* () {
      const [server] = yield* startServers
      const options = { url: server.url, documentId: randomName(), token: yield* server.token(randomName()) }
      const clients = yield* Effect.all(Array.makeBy(3, () => connectClient(options)))
      for (const client of clients) yield* client.until("it has loaded", client.isSettled)
      for (const client of clients.slice(0, 2)) {
        client.write("one")
        yield* client.until("it is stored", client.isSettled)
      }
      clients[2]!.write("not stored")
      yield* clients[2]!.until("it is refused", () => clients[2]!.state() === "noAccess")
    })
  )
})
