/** An app that embeds the server brings its own schemas, access policy and routes. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Schema } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { connectRaw, openRaw } from "#test-support/clients/RawSecsync"
import { refusedUpgrade } from "#test-support/clients/RawVerdant"
import { startDocument } from "#test-support/secsync/startDocument"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { libraryOn } from "#test-support/verdant/Library"
import { layerMemory } from "../../src/adapters/MemoryEventLog.ts"
import { LibraryId } from "../../src/domain/Ids.ts"
import { SyncServer } from "../../src/edge/SyncServer.ts"
import { Access, type Action, type Grant } from "../../src/ports/Access.ts"
import { EventLog } from "../../src/ports/EventLog.ts"
import { Signals } from "../../src/ports/Signals.ts"
import { VerdantLibraries } from "../../src/protocols/verdant/VerdantLibraries.ts"
import { ephemeralMessage, makeAuthor, snapshotMessage, updateMessage } from "../../src/testing/SealedMessages.ts"

describe("an embedding app", () => {
  it.live("keeps stdin to itself", () =>
    Effect.gen(function* () {
      const listeners = () => process.stdin.listenerCount("end")
      const before = listeners()
      yield* startMemoryServer()
      assert.strictEqual(listeners(), before)
    })
  )

  it.live("refuses messages as malformed that lack the additional public data of its schemas", () =>
    Effect.gen(function* () {
      const demanded = Schema.Struct({ device: Schema.String })
      const publicData = { snapshot: demanded, update: demanded, ephemeralMessage: demanded }
      const server = yield* startMemoryServer({ secsync: { publicData } })
      const documentId = crypto.randomUUID()
      const client = yield* connectRaw({ url: server.url, documentId, token: yield* server.token("notes") })
      const author = makeAuthor()
      client.send(snapshotMessage(author, { docId: documentId }))
      assert.deepStrictEqual(yield* client.next("snapshot-save-failed"), { type: "snapshot-save-failed" })
      const snapshot = snapshotMessage(author, { docId: documentId, additional: { device: "phone" } })
      client.send(snapshot)
      yield* client.next("snapshot-saved")
      const { snapshotId } = snapshot.publicData
      client.send(updateMessage(author, { docId: documentId, refSnapshotId: snapshotId, clock: 0 }))
      yield* client.next("update-save-failed")
      const additional = { device: "phone" }
      client.send(updateMessage(author, { docId: documentId, refSnapshotId: snapshotId, clock: 0, additional }))
      yield* client.next("update-saved")
      client.send(ephemeralMessage(author, { docId: documentId }))
      assert.strictEqual((yield* client.closed).code, 1008)
    })
  )

  it.live("has each client asked once for a snapshot when the active one has gathered enough updates", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer({ secsync: { maxUpdatesPerSnapshot: 2 } })
      const { author, client, docId, refSnapshotId, snapshot } = yield* startDocument(server)
      const update = (clock: number) => updateMessage(author, { docId, refSnapshotId, clock })
      for (const clock of [0, 1]) {
        client.send(update(clock))
        yield* client.next("update-saved")
      }
      client.send(update(2))
      const asked = { type: "update-save-failed", snapshotId: refSnapshotId, clock: 2, requiresNewSnapshot: true }
      assert.deepStrictEqual(yield* client.next("update-save-failed"), asked)
      // A client that sends no snapshot is not cut off: its updates are stored as before.
      client.send(update(2))
      yield* client.next("update-saved")
      const next = snapshotMessage(author, { docId, parent: snapshot, clocks: { [author.pubKey]: 2 } })
      client.send(next)
      yield* client.next("snapshot-saved")
      const after = (clock: number) =>
        updateMessage(author, { docId, refSnapshotId: next.publicData.snapshotId, clock })
      for (const clock of [0, 1]) {
        client.send(after(clock))
        yield* client.next("update-saved")
      }
      client.send(after(2))
      assert.isTrue((yield* client.next("update-save-failed"))["requiresNewSnapshot"])
    })
  )

  it.live("decides each action by its own access policy, reads the additional server data, and ends a grant", () =>
    Effect.gen(function* () {
      const asked: Array<Action> = []
      const over = yield* Deferred.make<void>()
      const grant: Grant = {
        userId: "ada",
        libraryId: LibraryId.make("notes"),
        documents: undefined,
        readOnly: false,
        replicaType: 0,
        expiresAt: Number.MAX_SAFE_INTEGER,
        tokenId: undefined,
        issuedAt: undefined
      }
      const policy = Layer.succeed(
        Access,
        Access.of({
          verify: () => Effect.succeed(grant),
          mint: () => Effect.succeed("any"),
          allows: (_, action) => {
            asked.push(action)
            return Effect.succeed(action._tag !== "WriteUpdate")
          },
          ended: () => Deferred.await(over)
        })
      )
      const services = yield* Layer.build(
        SyncServer.layerWithAccess({ port: 0, host: "127.0.0.1" }).pipe(
          Layer.provide([policy, layerMemory, Signals.layerNone])
        )
      )
      const url = `ws://127.0.0.1:${Context.get(services, SyncServer).port}`
      const documentId = crypto.randomUUID()
      const [client, other] = [
        yield* connectRaw({ url, documentId, token: "any" }),
        yield* connectRaw({ url, documentId, token: "any" })
      ]
      const author = makeAuthor()
      const snapshot = snapshotMessage(author, { docId: documentId })
      client.send({ ...snapshot, additionalServerData: { invitation: 7 } })
      yield* client.next("snapshot-saved")
      assert.deepStrictEqual(yield* other.next("snapshot"), { type: "snapshot", snapshot })
      assert.deepInclude(asked.at(-1), {
        _tag: "WriteSnapshot",
        pubKey: author.pubKey,
        additionalServerData: { invitation: 7 }
      })
      client.send(updateMessage(author, { docId: documentId, refSnapshotId: snapshot.publicData.snapshotId, clock: 0 }))
      yield* client.next("unauthorized")
      assert.strictEqual((yield* client.closed).code, 4403)
      yield* Deferred.succeed(over, undefined)
      assert.strictEqual((yield* other.closed).code, 4401)
    })
  )

  it.live.each([
    { userId: "\ud800" },
    { userId: "" },
    { userId: "ada\u001b[2J" },
    { userId: 7 },
    { libraryId: "../notes" },
    { role: "\u0000" }
  ])("refuses a grant of its own Access that is malformed: %j", (malformed) =>
    Effect.gen(function* () {
      const grant = {
        ...{ userId: "ada", libraryId: "notes", documents: undefined, readOnly: false, replicaType: 0 },
        ...{ expiresAt: Number.MAX_SAFE_INTEGER, tokenId: undefined, issuedAt: undefined, ...malformed }
      } as Grant
      const access = Access.of({
        verify: (token) =>
          Effect.succeed(
            token === "good" ? { ...grant, userId: "ada", libraryId: LibraryId.make("notes"), role: "r" } : grant
          ),
        mint: () => Effect.succeed("any"),
        ended: () => Effect.never
      })
      const services = yield* Layer.build(
        SyncServer.layerWithAccess({ port: 0, host: "127.0.0.1" }).pipe(
          Layer.provide([Layer.succeed(Access, access), layerMemory, Signals.layerNone])
        )
      )
      const url = `ws://127.0.0.1:${Context.get(services, SyncServer).port}`
      const refused = yield* openRaw({ url, documentId: "welcome", token: "any" })
      assert.strictEqual((yield* refused.closed).code, 4401)
      assert.strictEqual(yield* refusedUpgrade(libraryOn({ url }), ["Bearer", "any"]), 401)
      yield* connectRaw({ url, documentId: "welcome", token: "good" })
    })
  )

  it.live("serves its own routes on the server's port", () =>
    Effect.gen(function* () {
      const greet = HttpRouter.add(
        "GET",
        "/token/:user",
        Effect.gen(function* () {
          const { user = "" } = yield* HttpRouter.params
          const libraryId = LibraryId.make("notes")
          return HttpServerResponse.text(yield* (yield* Access).mint({ userId: user, libraryId }))
        })
      )
      const { port } = yield* startMemoryServer({ routes: greet })
      const get = (path: string) => Effect.promise(() => fetch(`http://127.0.0.1:${port}${path}`))
      const token = yield* Effect.flatMap(get("/token/ada"), (response) => Effect.promise(() => response.text()))
      assert.strictEqual(JSON.parse(Buffer.from(token.split(".")[1]!, "base64url").toString()).sub, "ada")
      assert.strictEqual((yield* get("/healthz")).status, 200)
      const without = yield* startMemoryServer()
      const answer = yield* Effect.promise(() => fetch(`http://127.0.0.1:${without.port}/token/ada`))
      assert.strictEqual(answer.status, 404)
    })
  )

  it.live("uses every service in its own routes", () =>
    Effect.gen(function* () {
      const show = HttpRouter.add(
        "GET",
        "/libraries/:library",
        Effect.gen(function* () {
          const { library = "" } = yield* HttpRouter.params
          const libraryId = LibraryId.make(library)
          const info = yield* Effect.orDie((yield* VerdantLibraries).info(libraryId))
          const [head] = yield* Effect.orDie((yield* EventLog).heads([{ libraryId, streamId: "@verdant" }]))
          yield* (yield* Signals).announce([])
          yield* Effect.orDie(Access.changed({ libraryId }))
          return HttpServerResponse.jsonUnsafe({ info: info ?? null, version: head?.version })
        })
      )
      const { port } = yield* startMemoryServer({ routes: show })
      const response = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/libraries/notes`))
      assert.deepStrictEqual(yield* Effect.promise(() => response.json()), { info: null, version: 0 })
    })
  )
})
