/** `Access.changed` in one process: nothing is sent to a client while its rights are in question. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch } from "effect"
import { connectRaw } from "#test-support/clients/RawSecsync"
import { connectVerdant, registerReplica } from "#test-support/clients/RawVerdant"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { until } from "#test-support/until"
import { libraryOn } from "#test-support/verdant/Library"
import { initialize, makeReplica } from "#test-support/verdant/Replica"
import { DocumentId, LibraryId } from "../../src/domain/Ids.ts"
import type { AccessChange, Action, Grant } from "../../src/ports/Access.ts"
import { makeAuthor, snapshotMessage, updateMessage } from "../../src/testing/SealedMessages.ts"

const libraryId = LibraryId.make("notes")

/** A server whose policy answers `Receive` for one user only when a test opens the latch. */
const start = Effect.gen(function* () {
  const answer = yield* Latch.make(true)
  let isRemoved = false
  let questions = 0
  const allows = ({ userId }: Grant, { _tag }: Action): Effect.Effect<boolean> => {
    if (userId !== "ada" || _tag !== "Receive") return Effect.succeed(true)
    questions += 1
    return Effect.map(answer.await, () => !isRemoved)
  }
  const server = yield* startMemoryServer({ allows })
  return {
    server,
    answer,
    questions: () => questions,
    remove: Effect.sync(() => {
      isRemoved = true
      answer.closeUnsafe()
    }),
    connect: (userId: string, documentId: string) =>
      Effect.flatMap(server.token(libraryId, { userId }), (token) => connectRaw({ url: server.url, documentId, token }))
  }
})

describe("while the policy is asked again", () => {
  it.live("a Secsync client is sent nothing; when it may not receive any more, it never gets it", () =>
    Effect.gen(function* () {
      const { answer, connect, questions, remove, server } = yield* start
      const documentId = crypto.randomUUID()
      const [ada, grace] = [yield* connect("ada", documentId), yield* connect("grace", documentId)]
      const author = makeAuthor()
      const snapshot = snapshotMessage(author, { docId: documentId })
      grace.send(snapshot)
      yield* ada.next("snapshot")
      yield* remove
      const before = questions()
      const changing = yield* Effect.forkChild(server.changed({ userId: "ada" }))
      yield* until("the policy is asked", () => questions() > before)
      const { snapshotId: refSnapshotId } = snapshot.publicData
      grace.send(updateMessage(author, { docId: documentId, refSnapshotId, clock: 0 }))
      yield* grace.next("update-saved")
      assert.isTrue(ada.isOpen())
      yield* answer.open
      yield* Fiber.join(changing)
      yield* ada.next("unauthorized")
      assert.deepStrictEqual(yield* ada.closed, { code: 4403, reason: "not allowed" })
      assert.isFalse(ada.frames.some(({ type }) => type === "update"))
    })
  )

  it.live("a client that may still receive gets everything afterwards, in order", () =>
    Effect.gen(function* () {
      const { answer, connect, questions, server } = yield* start
      const documentId = crypto.randomUUID()
      const [ada, grace] = [yield* connect("ada", documentId), yield* connect("grace", documentId)]
      const author = makeAuthor()
      const snapshot = snapshotMessage(author, { docId: documentId })
      grace.send(snapshot)
      yield* ada.next("snapshot")
      answer.closeUnsafe()
      const before = questions()
      const changing = yield* Effect.forkChild(server.changed({ libraryId }))
      yield* until("the policy is asked", () => questions() > before)
      const { snapshotId: refSnapshotId } = snapshot.publicData
      for (let clock = 0; clock < 5; clock++) {
        grace.send(updateMessage(author, { docId: documentId, refSnapshotId, clock }))
      }
      yield* grace.next("update-saved", ({ clock }) => clock === 4)
      yield* answer.open
      yield* Fiber.join(changing)
      const clockOf = (frame: object) => (frame as { publicData?: { clock?: number } }).publicData?.clock
      yield* ada.next("update", (frame) => clockOf(frame) === 4)
      const received = ada.frames.filter(({ type }) => type === "update").map(clockOf)
      assert.deepStrictEqual(received, [0, 1, 2, 3, 4])
    })
  )

  it.live("a Verdant client is sent neither operations nor presence", () =>
    Effect.gen(function* () {
      const { answer, questions, remove, server } = yield* start
      const library = libraryOn(server, libraryId)
      const enter = Effect.fnUntraced(function* (userId: string) {
        const connection = yield* connectVerdant(library, yield* library.token({ userId }))
        const replica = makeReplica()
        yield* registerReplica(connection, replica)
        return { connection, replica }
      })
      const [ada, grace] = [yield* enter("ada"), yield* enter("grace")]
      yield* remove
      const [before, received] = [questions(), ada.connection.messages.length]
      const changing = yield* Effect.forkChild(server.changed({ libraryId, userId: "ada" }))
      yield* until("the policy is asked", () => questions() > before)
      grace.connection.send(grace.replica.op(grace.replica.operation("item/x", initialize({ id: "x" }))))
      grace.connection.send(grace.replica.presence({ says: "hello" }))
      yield* grace.connection.settled
      yield* answer.open
      yield* Fiber.join(changing)
      assert.deepStrictEqual(yield* ada.connection.closed, { code: 4403, reason: "not allowed" })
      assert.deepStrictEqual(
        ada.connection.messages.slice(received).map(({ type }) => type),
        ["forbidden"]
      )
    })
  )
})

describe("a change of rights", () => {
  it.live("concerns the connections that match all of its fields", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const allows = ({ libraryId, userId }: Grant, { _tag, ...action }: Action) => {
        if (_tag === "Receive" && "documentId" in action) asked.push(`${userId} ${libraryId} ${action.documentId}`)
        return Effect.succeed(true)
      }
      const server = yield* startMemoryServer({ allows })
      const connect = Effect.fnUntraced(function* (userId: string, library: string, documentId: string) {
        const token = yield* server.token(library, { userId })
        yield* connectRaw({ url: server.url, documentId, token })
        return JSON.parse(Buffer.from(token.split(".")[1]!, "base64url").toString()).jti as string
      })
      const tokenId = yield* connect("ada", "notes", "a")
      yield* connect("ada", "notes", "b")
      yield* connect("ada", "other", "a")
      yield* connect("grace", "notes", "a")
      const library = libraryOn(server, "notes")
      yield* connectVerdant(library, yield* library.token({ userId: "lin" }))
      const documentId = DocumentId.make("a")
      const changes: ReadonlyArray<readonly [AccessChange, ReadonlyArray<string>]> = [
        [{ userId: "ada" }, ["ada notes a", "ada notes b", "ada other a"]],
        [{ userId: "ada", libraryId }, ["ada notes a", "ada notes b"]],
        [{ tokenId }, ["ada notes a"]],
        [{ documentId, libraryId }, ["ada notes a", "grace notes a", "lin notes undefined"]],
        [{ libraryId: LibraryId.make("other") }, ["ada other a"]],
        [{ userId: "nobody" }, []]
      ]
      for (const [change, expected] of changes) {
        asked.length = 0
        yield* server.changed(change)
        assert.deepStrictEqual([...asked].sort(), expected, JSON.stringify(change))
      }
    })
  )
})
