/** A client shows a new token on its open connection, and goes on with the rights and the expiry of that one. */
import { assert, describe, it } from "@effect/vitest"
import { DocumentId } from "@sealog/server/domain/Ids"
import { makeAuthor, snapshotMessage, updateMessage } from "@sealog/server/testing"
import { Duration, Effect } from "effect"
import { connectRaw } from "../support/clients/RawSecsync.ts"
import { connectVerdant, registerReplica } from "../support/clients/RawVerdant.ts"
import { connectClient } from "../support/secsync/SecsyncClient.ts"
import { runCommand } from "../support/servers/ServerProcess.ts"
import { randomName, startServer } from "../support/servers/TestServer.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { initialize, makeReplica } from "../support/verdant/Replica.ts"

const refreshWith = (token: string) => ({ type: "refresh-token", token })
const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString())

describe("a token refreshed on an open connection", () => {
  it.live("outlives the token that the connection was opened with", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const [library, documentId] = [randomName(), randomName()]
      const enter = Effect.fnUntraced(function* (seconds: number) {
        const token = yield* server.token(library, { expiresIn: Duration.seconds(seconds) })
        const [kept, refreshed] = yield* Effect.all([
          connectRaw({ url: server.url, documentId, token }),
          connectRaw({ url: server.url, documentId, token })
        ])
        const next = yield* server.token(library)
        refreshed.send(refreshWith(next))
        return {
          kept,
          refreshed,
          next,
          answer: yield* Effect.raceFirst(refreshed.next("token-refreshed"), refreshed.closed)
        }
      })
      let entered = yield* enter(4)
      // On a slow machine the token may expire before it is refreshed, so it gets more time.
      for (let seconds = 8; !("type" in entered.answer); seconds *= 2) entered = yield* enter(seconds)
      const { answer, kept, next, refreshed } = entered
      assert.deepStrictEqual(answer as object, { type: "token-refreshed", expiresAt: claimsOf(next).exp })
      assert.strictEqual((yield* kept.closed).code, 4401)
      refreshed.send(snapshotMessage(makeAuthor(), { docId: documentId }))
      yield* refreshed.next("snapshot-saved")

      const short = yield* server.token(library, { expiresIn: Duration.seconds(2) })
      refreshed.send(refreshWith(short))
      assert.strictEqual((yield* refreshed.closed).code, 4401)
    })
  )

  it.live("changes rights, and is revoked by its own id", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const [library, documentId] = [randomName(), DocumentId.make(randomName())]
      const [author, other] = [makeAuthor(), makeAuthor()]
      const token = yield* server.token(library, { type: "read-only" })
      const client = yield* connectRaw({ url: server.url, documentId, token })
      client.send(refreshWith(yield* server.token(library, { signingKeys: [author.pubKey] })))
      yield* client.next("token-refreshed")
      const snapshot = snapshotMessage(author, { docId: documentId })
      client.send(snapshot)
      yield* client.next("snapshot-saved")
      const { snapshotId: refSnapshotId } = snapshot.publicData
      const narrow = yield* server.token(library, { documents: [documentId], signingKeys: [other.pubKey] })
      client.send(refreshWith(narrow))
      yield* client.next("token-refreshed")
      client.send(updateMessage(other, { docId: documentId, refSnapshotId, clock: 0 }))
      yield* client.next("update-saved")
      const revoked = yield* runCommand(server.database, "token", "revoke", claimsOf(narrow).jti)
      assert.strictEqual(revoked.exitCode, 0, revoked.stdout)
      assert.strictEqual((yield* client.closed).code, 4401)
      // The revoked token cannot refresh another connection.
      const second = yield* connectRaw({ url: server.url, documentId, token: yield* server.token(library) })
      second.send(refreshWith(narrow))
      assert.strictEqual((yield* second.next("token-refused"))["reason"], "the token does not hold: revoked")
      second.send(updateMessage(other, { docId: documentId, refSnapshotId, clock: 1 }))
      yield* second.next("update-saved")
    })
  )

  it.live("is refused for another user, library or document, and the connection keeps its token", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const [library, documentId] = [randomName(), randomName()]
      const client = yield* connectRaw({ url: server.url, documentId, token: yield* server.token(library) })
      const tokens = [
        yield* server.token(library, { userId: "another" }),
        yield* server.token(randomName()),
        yield* server.token(library, { documents: [DocumentId.make("another")] }),
        "forged.to.ken"
      ]
      for (const token of tokens) {
        client.send(refreshWith(token))
        yield* client.next("token-refused")
      }
      client.send({ type: "refresh-token" })
      yield* client.next("token-refused")
      client.send(snapshotMessage(makeAuthor(), { docId: documentId }))
      yield* client.next("snapshot-saved")
      for (let i = 0; i < 12; i++) client.send(refreshWith(tokens[3]!))
      const refusal = yield* client.next("token-refused", ({ reason }) => String(reason).startsWith("too many"))
      assert.isDefined(refusal)
    })
  )

  it.live("asks the app's policy again, and ends a connection that it does not allow any more", () =>
    Effect.gen(function* () {
      const allows = (grant: { readonly signingKeys?: ReadonlyArray<string> | undefined }) =>
        Effect.succeed(grant.signingKeys === undefined)
      const server = yield* startServer({ allows })
      const [library, documentId] = [randomName(), randomName()]
      const client = yield* connectRaw({ url: server.url, documentId, token: yield* server.token(library) })
      client.send(refreshWith(yield* server.token(library)))
      yield* client.next("token-refreshed")
      client.send(refreshWith(yield* server.token(library, { signingKeys: [makeAuthor().pubKey] })))
      assert.strictEqual((yield* client.closed).code, 4403)
    })
  )

  it.live("works beside a real client, which hands the answer to its app", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const [library, documentId] = [randomName(), randomName()]
      const sockets: Array<WebSocket> = []
      const native = globalThis.WebSocket
      // How an app reaches the socket that secsync keeps to itself.
      globalThis.WebSocket = class extends native {
        constructor(url: string | URL) {
          super(url)
          sockets.push(this)
        }
      }
      const client = yield* connectClient({ url: server.url, documentId, token: yield* server.token(library) })
      yield* client.until("it has loaded", client.isSettled)
      globalThis.WebSocket = native
      sockets[0]!.send(JSON.stringify(refreshWith(yield* server.token(library))))
      client.write("one")
      yield* client.until(
        "it is stored, and the app has heard",
        () => client.isSettled() && client.customMessages.length === 1
      )
      assert.propertyVal(client.customMessages[0], "type", "token-refreshed")
      client.write("two")
      yield* client.until("it is stored", client.isSettled)
      assert.strictEqual(client.connections(), 1)
    })
  )

  it.live("works on a Verdant connection, whose rights it changes", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const replica = makeReplica()
      const client = yield* connectVerdant(library, yield* server.token(library.id, { type: "read-only" }))
      yield* registerReplica(client, replica)
      client.send(refreshWith(yield* server.token(library.id)))
      yield* client.next("token-refreshed")
      client.send(replica.op(replica.operation("item/1", initialize({ content: "one" }))))
      yield* client.next("server-ack")
      client.send(refreshWith(yield* server.token(library.id, { type: "push" })))
      yield* client.next("token-refused")
      client.send(refreshWith(yield* server.token(library.id, { userId: "another" })))
      yield* client.next("token-refused")
      client.send(refreshWith(yield* server.token(library.id, { expiresIn: Duration.seconds(2) })))
      yield* client.next("token-refreshed")
      assert.strictEqual((yield* client.closed).code, 4401)
    })
  )
})
