/** Replay on a log that was tampered with: what is wrong is found, named, and reported once. */
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { evict } from "@sealog/server/admin/Eviction"
import { type Problem, replay } from "@sealog/server/admin/Replay"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { DocumentId, LibraryId } from "@sealog/server/domain/Ids"
import { evolve, fromStreamEvent, initial, toNewEvent } from "@sealog/server/domain/Secsync"
import { advance, emptyHead, place, type StreamHead, type StreamKey } from "@sealog/server/domain/Stream"
import { EventLog } from "@sealog/server/EventLog"
import { makeDecoder } from "@sealog/server/protocols/secsync/Wire"
import {
  type Author,
  makeAuthor,
  resign,
  type SealedSnapshot,
  snapshotMessage,
  updateMessage
} from "@sealog/server/testing"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Effect } from "effect"
import { assert, describe, it } from "vitest"

const key: StreamKey = { libraryId: LibraryId.make("notes"), streamId: DocumentId.make("welcome") }
const docId = key.streamId
const decode = makeDecoder()

/** Messages stored as they are, by no rule: some of these tests store what no server would. */
const store = Effect.fnUntraced(function* (start: StreamHead, messages: ReadonlyArray<object>) {
  const log = yield* EventLog
  let head = start
  for (const json of messages) {
    const message = decode(JSON.stringify(json))
    if (message._tag !== "Snapshot" && message._tag !== "Update") throw new Error(`not a message: ${message._tag}`)
    const { payload } = message
    const data =
      message._tag === "Snapshot"
        ? {
            _tag: "SnapshotStored" as const,
            snapshotId: message.snapshotId,
            ciphertextHash: message.ciphertextHash,
            parentSnapshotProof: message.parentSnapshotProof,
            parentSnapshotId: message.parentSnapshotId,
            parentSnapshotUpdateClocks: Object.fromEntries(message.parentSnapshotUpdateClocks),
            pubKey: message.pubKey
          }
        : {
            _tag: "UpdateStored" as const,
            refSnapshotId: message.refSnapshotId,
            pubKey: message.pubKey,
            clock: message.clock
          }
    const event = place(key, head, toNewEvent(data, blake2b256(payload)), "test", 0)
    yield* log.append([{ key, expectedVersion: head.version, events: [{ event, payload }] }])
    head = advance(head, event)
  }
  return head
})

/** Snapshot, two updates, snapshot, two updates: versions 1 to 6. */
const history = (author: Author) => {
  const first = snapshotMessage(author, { docId, snapshotId: "first" })
  const update = (refSnapshotId: string, clock: number) => updateMessage(author, { docId, refSnapshotId, clock })
  const second = snapshotMessage(author, {
    docId,
    snapshotId: "second",
    parent: first,
    clocks: { [author.pubKey]: 1 }
  })
  return [first, update("first", 0), update("first", 1), second, update("second", 0), update("second", 1)] as const
}

interface Scene {
  readonly filename: string
  readonly author: Author
  readonly messages: ReadonlyArray<object>
  /** Runs SQL with the triggers out of the way. */
  readonly tamper: (sql: string) => void
  readonly problems: () => Promise<ReadonlyArray<Omit<Problem, "libraryId" | "streamId">>>
  readonly run: <A, E>(effect: Effect.Effect<A, E, EventLog>) => Promise<A>
}

const makeScene = async (messages: (author: Author) => ReadonlyArray<object> = history): Promise<Scene> => {
  const filename = join(mkdtempSync(join(tmpdir(), "sealog-replay-")), "log.db")
  const author = makeAuthor()
  const run: Scene["run"] = (effect) => Effect.runPromise(Effect.provide(effect, SqliteStorage.layer({ filename })))
  const stored = messages(author)
  await run(store(emptyHead, stored))
  return {
    filename,
    author,
    messages: stored,
    run,
    tamper: (sql) => {
      const db = new DatabaseSync(filename)
      db.exec(
        `PRAGMA foreign_keys = OFF; DROP TRIGGER events_are_not_changed; DROP TRIGGER events_are_not_deleted; ${sql}`
      )
      db.close()
    },
    problems: async () => {
      const report = await run(replay())
      assert.strictEqual(report.problemCount, report.problems.length)
      return report.problems.map(({ libraryId, streamId, ...rest }) => {
        assert.deepStrictEqual({ libraryId, streamId }, key)
        return rest
      })
    }
  }
}

const named = (problems: ReadonlyArray<Omit<Problem, "libraryId" | "streamId">>) =>
  problems.map(({ version, problem }) => `${version} ${problem}`)

describe("replay", () => {
  it("finds nothing wrong with a log as it was written", async () => {
    const scene = await makeScene()
    const report = await scene.run(replay())
    assert.deepStrictEqual(report, { streams: 1, events: 6, payloads: 6, problems: [], problemCount: 0 })
  })

  it("finds nothing wrong with a document that was evicted and restored", async () => {
    const scene = await makeScene()
    await scene.run(evict({ libraryId: key.libraryId }))
    const restoring = snapshotMessage(scene.author, {
      docId,
      parent: scene.messages[3] as SealedSnapshot,
      clocks: { [scene.author.pubKey]: 1 }
    })
    await scene.run(
      Effect.gen(function* () {
        const [head] = yield* (yield* EventLog).heads([key])
        yield* store(head ?? emptyHead, [restoring])
      })
    )
    const report = await scene.run(replay())
    assert.deepStrictEqual(report, { streams: 1, events: 8, payloads: 1, problems: [], problemCount: 0 })
  })

  it("finds a flipped byte in a payload", async () => {
    const scene = await makeScene()
    scene.tamper(
      "UPDATE payloads SET payload = CAST(substr(payload, 1, 20) || x'00' || substr(payload, 22) AS BLOB) WHERE position = 2"
    )
    assert.deepStrictEqual(named(await scene.problems()), ["2 payload-changed"])
  })

  it("finds a changed byte in an event", async () => {
    const scene = await makeScene()
    scene.tamper(`UPDATE events SET data = replace(data, '"clock":1', '"clock":7') WHERE version = 3`)
    assert.deepStrictEqual(named(await scene.problems()), ["3 chain-broken"])
  })

  it("finds a changed time, which no rule depends on", async () => {
    const scene = await makeScene()
    scene.tamper("UPDATE events SET recorded_at = recorded_at + 1 WHERE version = 5")
    assert.deepStrictEqual(named(await scene.problems()), ["5 chain-broken"])
  })

  it("finds an event that is missing in the middle", async () => {
    const scene = await makeScene()
    scene.tamper("DELETE FROM events WHERE version = 3")
    const problems = await scene.problems()
    assert.deepStrictEqual(named(problems), ["3 missing-event"])
    assert.include(problems[0]?.detail ?? "", "version 3 missing before version 4")
  })

  it("finds the last event missing", async () => {
    const scene = await makeScene()
    scene.tamper("DELETE FROM events WHERE version = 6")
    const problems = await scene.problems()
    assert.deepStrictEqual(named(problems), ["6 missing-event"])
    assert.include(problems[0]?.detail ?? "", "the stream ends at version 6, its events at 5")
  })

  it("finds a stream's end that was changed", async () => {
    const scene = await makeScene()
    scene.tamper("UPDATE streams SET chain = zeroblob(32)")
    assert.deepStrictEqual(named(await scene.problems()), ["6 wrong-head"])
  })

  it("finds a payload that is gone though nothing evicted it", async () => {
    const scene = await makeScene()
    scene.tamper("DELETE FROM payloads WHERE position = 5")
    assert.deepStrictEqual(named(await scene.problems()), ["5 payload-missing"])
  })

  it("finds a forged proof, chained and signed as if it were right", async () => {
    const scene = await makeScene((author) => {
      const [first, ...rest] = history(author)
      const second = rest[2] as ReturnType<typeof snapshotMessage>
      const forged = resign(author, second, { parentSnapshotProof: blake2b256("not the parent's") })
      return [first, rest[0], rest[1], forged]
    })
    const problems = await scene.problems()
    assert.deepStrictEqual(named(problems), ["4 rule-broken"])
    assert.include(problems[0]?.detail ?? "", "parent proof")
  })

  it("finds a clock that was skipped", async () => {
    const scene = await makeScene((author) => {
      const [first, update] = history(author)
      return [first, update, updateMessage(author, { docId, refSnapshotId: "first", clock: 2 })]
    })
    const problems = await scene.problems()
    assert.deepStrictEqual(named(problems), ["3 rule-broken"])
    assert.include(problems[0]?.detail ?? "", "should be 1")
  })

  it("finds a signature of somebody else", async () => {
    const scene = await makeScene((author) => {
      const [first, update] = history(author)
      const other = updateMessage(makeAuthor(), { docId, refSnapshotId: "first", clock: 0 })
      return [first, { ...update, signature: other.signature }]
    })
    assert.deepStrictEqual(named(await scene.problems()), ["2 signature-invalid"])
  })

  it("finds an event that does not say what its payload says", async () => {
    const scene = await makeScene()
    await scene.run(
      Effect.gen(function* () {
        const log = yield* EventLog
        const { head, events } = yield* log.tail(key)
        const state = events.reduce(
          (state, { event }) => evolve(state, fromStreamEvent(event), event.payloadHash),
          initial(DocumentId.make(docId))
        )
        assert.strictEqual(state.updates, 2)
        const message = decode(
          JSON.stringify(updateMessage(scene.author, { docId, refSnapshotId: "second", clock: 9 }))
        )
        if (message._tag !== "Update") throw new Error(message._tag)
        const data = {
          _tag: "UpdateStored" as const,
          refSnapshotId: message.refSnapshotId,
          pubKey: message.pubKey,
          clock: 2
        }
        const event = place(key, head, toNewEvent(data, blake2b256(message.payload)), "test", 0)
        yield* log.append([{ key, expectedVersion: 6, events: [{ event, payload: message.payload }] }])
      })
    )
    assert.deepStrictEqual(named(await scene.problems()), ["7 payload-mismatch"])
  })

  it("goes on after a problem, and looks at one library when asked", async () => {
    const scene = await makeScene()
    scene.tamper(`
      UPDATE events SET origin = 'x' WHERE version = 2;
      UPDATE payloads SET payload = x'00' WHERE position = 5`)
    assert.deepStrictEqual(named(await scene.problems()), ["2 chain-broken", "5 payload-changed"])
    const elsewhere = await scene.run(replay({ libraryId: LibraryId.make("elsewhere") }))
    assert.deepStrictEqual(elsewhere, { streams: 0, events: 0, payloads: 0, problems: [], problemCount: 0 })
  })
})
