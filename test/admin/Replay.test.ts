/** Replay on a log that was tampered with: it finds each fault, names it, and reports it once. */
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { evict } from "@sealog/server/admin/Eviction"
import { resetQuota, setQuota } from "@sealog/server/admin/LibraryQuota"
import { type Problem, replay, type Until } from "@sealog/server/admin/Replay"
import { resume, revoke, suspend } from "@sealog/server/admin/Revocation"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { DocumentId, LibraryId, SnapshotId } from "@sealog/server/domain/Ids"
import { emptyHead, place } from "@sealog/server/domain/Stream"
import { fromStreamEvent, toNewEvent } from "@sealog/server/domain/secsync/Events"
import { evolve, initial } from "@sealog/server/domain/secsync/State"
import { EventLog } from "@sealog/server/ports/EventLog"
import { Signals } from "@sealog/server/ports/Signals"
import { Signatures } from "@sealog/server/signatures/Signatures"
import {
  type Author,
  makeAuthor,
  resign,
  type SealedSnapshot,
  snapshotMessage,
  updateMessage
} from "@sealog/server/testing"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Effect, Layer } from "effect"
import { assert, describe, it } from "vitest"
import { append, decode, docId, history, key, store, update } from "./support.ts"

interface Scene {
  readonly filename: string
  readonly author: Author
  readonly messages: ReadonlyArray<object>
  /** Runs SQL without the triggers that protect events. */
  readonly tamper: (sql: string) => void
  readonly problems: () => Promise<ReadonlyArray<Omit<Problem, "libraryId" | "streamId">>>
  readonly run: <A, E>(effect: Effect.Effect<A, E, EventLog | Signals | Signatures>) => Promise<A>
}

const makeScene = async (messages: (author: Author) => ReadonlyArray<object> = history): Promise<Scene> => {
  const filename = join(mkdtempSync(join(tmpdir(), "sealog-replay-")), "log.db")
  const author = makeAuthor()
  const services = Layer.merge(SqliteStorage.layer({ filename }), Signatures.layerInline)
  const run: Scene["run"] = (effect) => Effect.runPromise(Effect.provide(effect, services))
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

/** Changes of one value in versions 1 to 6 (see `history`), and the one problem that each must give. */
const changes: ReadonlyArray<readonly [what: string, sql: string, report: string]> = [
  [
    "an event's JSON into other text",
    `UPDATE events SET data = replace(data, '{"', '["') WHERE version = 3`,
    "3 unreadable-event"
  ],
  [
    "the first event's JSON into other text",
    `UPDATE events SET data = replace(data, '{"', '["') WHERE version = 1`,
    "1 unreadable-event"
  ],
  [
    "the last event's JSON into other text",
    `UPDATE events SET data = replace(data, '{"', '["') WHERE version = 6`,
    "6 unreadable-event"
  ],
  [
    "a field's name",
    `UPDATE events SET data = replace(data, '"clock"', '"clocl"') WHERE version = 3`,
    "3 chain-broken"
  ],
  ["the type", "UPDATE events SET type = 'UpdateStoree' WHERE version = 3", "3 chain-broken"],
  ["an update into an eviction", "UPDATE events SET type = 'Evicted' WHERE version = 3", "3 chain-broken"],
  ["the last update into an eviction", "UPDATE events SET type = 'Evicted' WHERE version = 6", "6 chain-broken"],
  ["a snapshot", `UPDATE events SET data = replace(data, 'first', 'firsx') WHERE version = 1`, "1 chain-broken"],
  ["the generation", "UPDATE events SET generation = 5 WHERE version = 3", "3 chain-broken"],
  ["the payload's hash", "UPDATE events SET payload_hash = zeroblob(32) WHERE version = 3", "3 chain-broken"],
  ["the mark of a checkpoint", "UPDATE events SET checkpoint = 1 WHERE version = 3", "3 chain-broken"],
  ["the chain value", "UPDATE events SET chain = zeroblob(32) WHERE version = 3", "3 chain-broken"],
  ["the last chain value", "UPDATE events SET chain = zeroblob(32) WHERE version = 6", "6 chain-broken"],
  ["the stream's generation", "UPDATE streams SET generation = 1", "6 wrong-head"],
  ["the stream's version, to more", "UPDATE streams SET version = 9", "7 missing-event"],
  ["the stream's version, to less", "UPDATE streams SET version = 4", "5 wrong-head"],
  ["the stream's checkpoint", "UPDATE streams SET checkpoint = 5", "4 wrong-index"],
  ["the first snapshot's indexed id", "UPDATE events SET snapshot_id = 'x' WHERE version = 1", "6 wrong-index"],
  ["a later snapshot's indexed id", "UPDATE events SET snapshot_id = NULL WHERE version = 4", "6 wrong-index"],
  ["every event to none", "DELETE FROM events", "1 missing-event"]
]

/** The log that runs an effect once, when a replay first reads a stream's head. */
const interposed = <E>(act: Effect.Effect<unknown, E, EventLog | Signals>) =>
  Layer.effect(
    EventLog,
    Effect.gen(function* () {
      const log = yield* EventLog
      const once = yield* Effect.cached(
        Effect.orDie(Effect.provideService(act, EventLog, log)).pipe(Effect.provide(Signals.layerNone))
      )
      return EventLog.of({ ...log, heads: (keys) => Effect.andThen(once, log.heads(keys)) })
    })
  )

describe("replay", () => {
  for (const [what, sql, report] of changes) {
    it(`reports a change of ${what} once, at its version`, async () => {
      const scene = await makeScene()
      scene.tamper(sql)
      assert.deepStrictEqual(named(await scene.problems()), [report])
    })
  }

  it("continues after an event that it cannot read", async () => {
    const scene = await makeScene()
    scene.tamper(`
      UPDATE events SET data = replace(data, '{"', '["') WHERE version = 2;
      UPDATE payloads SET payload = x'00' WHERE position = 5;
      UPDATE events SET origin = 'x' WHERE version = 6`)
    const problems = named(await scene.problems())
    assert.deepStrictEqual(problems, ["2 unreadable-event", "5 payload-changed", "6 chain-broken"])
  })

  it("finds events that are missing between pages and after them", async () => {
    const scene = await makeScene((author) => [
      snapshotMessage(author, { docId, snapshotId: "first" }),
      ...Array.from({ length: 1019 }, (_, clock) => updateMessage(author, { docId, refSnapshotId: "first", clock }))
    ])
    const progress: Array<readonly [number, number]> = []
    const report = await scene.run(
      replay({ documentId: DocumentId.make(docId), onProgress: (...now) => progress.push(now) })
    )
    assert.deepInclude(report, { events: 1020, payloads: 1020, problemCount: 0 })
    assert.deepStrictEqual(progress, [
      [500, 1020],
      [1000, 1020],
      [1020, 1020]
    ])
    scene.tamper("DELETE FROM events WHERE version IN (500, 501, 1020)")
    const problems = await scene.problems()
    assert.deepStrictEqual(named(problems), ["500 missing-event", "1020 missing-event"])
    assert.include(problems[0]?.detail ?? "", "versions 500 to 501 missing before version 502")
  })

  it("accepts events that are written during the replay", async () => {
    const scene = await makeScene()
    const writes = Effect.gen(function* () {
      const [head] = yield* (yield* EventLog).heads([key])
      yield* store(head ?? emptyHead, [
        updateMessage(scene.author, { docId, refSnapshotId: "second", clock: 2 }),
        updateMessage(scene.author, { docId, refSnapshotId: "second", clock: 3 })
      ])
    })
    const written = await scene.run(Effect.provide(replay(), interposed(writes)))
    assert.deepStrictEqual(written, { streams: 1, events: 8, payloads: 8, problems: [], problemCount: 0 })
    const evicts = evict({ libraryId: key.libraryId })
    const evicted = await scene.run(Effect.provide(replay(), interposed(evicts)))
    assert.deepStrictEqual(evicted, { streams: 1, events: 9, payloads: 8, problems: [], problemCount: 0 })
  })

  it("finds an event without a payload hash whose type has a payload", async () => {
    const scene = await makeScene()
    await scene.run(
      Effect.gen(function* () {
        const log = yield* EventLog
        const { head } = yield* log.tail(key)
        const { pubKey } = scene.author
        const data = { _tag: "UpdateStored" as const, refSnapshotId: SnapshotId.make("second"), pubKey, clock: 2 }
        const event = place(key, head, toNewEvent(data, ""), "test", 0)
        yield* log.append([{ key, expectedVersion: 6, events: [{ event, payload: null }] }])
      })
    )
    assert.deepStrictEqual(named(await scene.problems()), ["7 payload-mismatch"])
  })

  it("finds nothing wrong with an unchanged log", async () => {
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
    const other = "CASE substr(payload, 21, 1) WHEN x'00' THEN x'01' ELSE x'00' END"
    scene.tamper(
      `UPDATE payloads SET payload = CAST(substr(payload, 1, 20) || ${other} || substr(payload, 22) AS BLOB) WHERE position = 2`
    )
    assert.deepStrictEqual(named(await scene.problems()), ["2 payload-changed"])
  })

  it("finds a changed byte in an event", async () => {
    const scene = await makeScene()
    scene.tamper(`UPDATE events SET data = replace(data, '"clock":1', '"clock":7') WHERE version = 3`)
    assert.deepStrictEqual(named(await scene.problems()), ["3 chain-broken"])
  })

  it("finds a changed time, although no rule depends on it", async () => {
    const scene = await makeScene()
    scene.tamper("UPDATE events SET recorded_at = recorded_at + 1 WHERE version = 5")
    assert.deepStrictEqual(named(await scene.problems()), ["5 chain-broken"])
  })

  it("finds a missing event in the middle", async () => {
    const scene = await makeScene()
    scene.tamper("DELETE FROM events WHERE version = 3")
    const problems = await scene.problems()
    assert.deepStrictEqual(named(problems), ["3 missing-event"])
    assert.include(problems[0]?.detail ?? "", "version 3 missing before version 4")
  })

  it("finds a missing last event", async () => {
    const scene = await makeScene()
    scene.tamper("DELETE FROM events WHERE version = 6")
    const problems = await scene.problems()
    assert.deepStrictEqual(named(problems), ["6 missing-event"])
    assert.include(problems[0]?.detail ?? "", "the stream ends at version 6, its events at 5")
  })

  it("finds a changed head of a stream", async () => {
    const scene = await makeScene()
    scene.tamper("UPDATE streams SET chain = zeroblob(32)")
    assert.deepStrictEqual(named(await scene.problems()), ["6 wrong-head"])
  })

  it("finds a payload that is missing without an eviction", async () => {
    const scene = await makeScene()
    scene.tamper("DELETE FROM payloads WHERE position = 5")
    assert.deepStrictEqual(named(await scene.problems()), ["5 payload-missing"])
  })

  it("finds a forged proof that is correctly chained and signed", async () => {
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

  it("finds a skipped clock", async () => {
    const scene = await makeScene((author) => {
      const [first, update] = history(author)
      return [first, update, updateMessage(author, { docId, refSnapshotId: "first", clock: 2 })]
    })
    const problems = await scene.problems()
    assert.deepStrictEqual(named(problems), ["3 rule-broken"])
    assert.include(problems[0]?.detail ?? "", "should be 1")
  })

  it("finds a signature by another author", async () => {
    const scene = await makeScene((author) => {
      const [first, update] = history(author)
      const other = updateMessage(makeAuthor(), { docId, refSnapshotId: "first", clock: 0 })
      return [first, { ...update, signature: other.signature }]
    })
    assert.deepStrictEqual(named(await scene.problems()), ["2 signature-invalid"])
  })

  it("finds an event that contradicts its payload", async () => {
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

  it("continues after a problem, and checks a single library on request", async () => {
    const scene = await makeScene()
    scene.tamper(`
      UPDATE events SET origin = 'x' WHERE version = 2;
      UPDATE payloads SET payload = x'00' WHERE position = 5`)
    assert.deepStrictEqual(named(await scene.problems()), ["2 chain-broken", "5 payload-changed"])
    const elsewhere = await scene.run(replay({ libraryId: LibraryId.make("elsewhere") }))
    assert.deepStrictEqual(elsewhere, { streams: 0, events: 0, payloads: 0, problems: [], problemCount: 0 })
  })

  it("accepts a valid pruning, and finds one that deletes needed payloads", async () => {
    const scene = await makeScene()
    const prune = (before: number) => scene.run(append(key, [{ _tag: "Pruned", before }]))
    await prune(4)
    assert.deepStrictEqual(await scene.problems(), [])
    scene.tamper("DELETE FROM payloads WHERE position = 4")
    assert.deepStrictEqual(named(await scene.problems()), ["4 payload-missing"])
    await prune(5)
    assert.deepStrictEqual(named(await scene.problems()), ["8 rule-broken"])
  })

  it("stops at a version or a time, and reports nothing after it as missing", async () => {
    const scene = await makeScene()
    const scope = { libraryId: key.libraryId, documentId: docId }
    await scene.run(append(key, [update(2, "second")], { recordedAt: 5000 }))
    const until = (until: Until) => scene.run(replay({ ...scope, until }))
    assert.deepInclude(await until({ version: 4 }), { streams: 1, events: 4, payloads: 4, problemCount: 0 })
    assert.deepInclude(await until({ time: 5005 }), { events: 6, problemCount: 0 })
    assert.deepInclude(await until({ time: -1 }), { streams: 0, events: 0, problemCount: 0 })
    assert.strictEqual((await until({ version: 100 })).problems[0]?.version, 7)
    await scene.run(append(key, [{ _tag: "Pruned", before: 4 }], { recordedAt: 9000 }))
    assert.deepInclude(await until({ version: 5 }), { events: 5, payloads: 2, problemCount: 0 })
    scene.tamper("DELETE FROM payloads WHERE position IN (1, 5)")
    assert.deepStrictEqual(named((await until({ version: 5 })).problems), ["5 payload-missing"])
  })

  it("checks the decisions on a library and on all, and finds one that breaks a rule", async () => {
    const scene = await makeScene()
    const decisions = [
      suspend(key.libraryId),
      resume(key.libraryId),
      suspend(key.libraryId),
      revoke({ tokenId: "1234" }),
      revoke({ userId: "ada" }),
      setQuota(key.libraryId, { objects: 1 }),
      setQuota(key.libraryId, { documentBytes: 1 }),
      resetQuota(key.libraryId)
    ]
    await scene.run(Effect.all(decisions))
    assert.deepInclude(await scene.run(replay()), { streams: 3, events: 14, problemCount: 0 })
    scene.tamper(`UPDATE events SET data = replace(data, '1234', '1235')
      WHERE stream_number = (SELECT stream_number FROM streams WHERE stream_id = '@access')`)
    const again = place(
      { libraryId: key.libraryId, streamId: "@library" },
      (await scene.run(EventLog.use((log) => log.heads([{ ...key, streamId: "@library" }]))))[0]!,
      { type: "LibrarySuspended", data: {}, payloadHash: "", checkpoint: false },
      "test",
      0
    )
    const library = { ...key, streamId: "@library" }
    const event = { event: again, payload: null }
    await scene.run(EventLog.use((log) => log.append([{ key: library, expectedVersion: 6, events: [event] }])))
    const { problems } = await scene.run(replay())
    assert.deepStrictEqual(
      problems.map(({ streamId, version, problem }) => `${streamId} ${version} ${problem}`),
      ["@access 1 chain-broken", "@library 7 rule-broken"]
    )
  })
})
