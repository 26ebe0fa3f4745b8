/** Signed checkpoints, beside logs whose chains were computed again, so that the chain alone shows nothing. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { replay } from "@sealog/server/admin/Replay"
import { revoke } from "@sealog/server/admin/Revocation"
import {
  type CheckpointProof,
  checkSince,
  makeCheckpoint,
  proveCheckpoint
} from "@sealog/server/admin/SignedCheckpoints"
import { makeKeys, parseSigner } from "@sealog/server/checkpoints/SignedNote"
import { DocumentId, LibraryId, UserId } from "@sealog/server/domain/Ids"
import { emptyHead, type StreamKey } from "@sealog/server/domain/Stream"
import type { EventLog } from "@sealog/server/ports/EventLog"
import type { Signals } from "@sealog/server/ports/Signals"
import { Signatures } from "@sealog/server/signatures/Signatures"
import { makeAuthor, snapshotMessage, updateMessage } from "@sealog/server/testing"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Effect, Layer } from "effect"
import { append, docId, document, history, key, store } from "./support.ts"

const author = makeAuthor()
const messages = history(author)
const libraryId = LibraryId.make("notes")
const other: StreamKey = { libraryId, streamId: DocumentId.make("other") }

const otherSnapshot = snapshotMessage(author, { docId: other.streamId, snapshotId: "other" })
const otherMessages = [
  otherSnapshot,
  ...[0, 1, 2].map((clock) => updateMessage(author, { docId: other.streamId, refSnapshotId: "other", clock }))
]

const newFolder = () => mkdtempSync(join(tmpdir(), "sealog-checkpoints-"))
const { signer: signerText, verifier } = makeKeys("example.com/log")!
const signer = parseSigner(signerText)!

/** Runs an effect on the SQLite log in a folder. */
const on = <A, E>(folder: string, effect: Effect.Effect<A, E, EventLog | Signals | Signatures>) =>
  Effect.provide(effect, Layer.merge(SqliteStorage.layer({ filename: join(folder, "log.db") }), Signatures.layerInline))

/** The log that the checkpoints of a test are of, or a forged one. */
const makeLog = Effect.fnUntraced(function* (
  stored: ReadonlyArray<object> = messages,
  { hasOther = true, user = "mallory" } = {}
) {
  const folder = newFolder()
  yield* on(
    folder,
    Effect.gen(function* () {
      yield* store(emptyHead, stored)
      if (hasOther) yield* store(emptyHead, otherMessages, other)
      yield* revoke({ libraryId, userId: UserId.make(user) }, { operator: "ada" })
    })
  )
  return folder
})

const since = (log: string, folder: string) =>
  Effect.map(on(log, checkSince(folder, signer.verifier)), (problems) =>
    problems.map(({ streamId, version, problem, detail }) => `${streamId} ${version} ${problem}: ${detail}`)
  )

describe("a log", () => {
  it.live("continues its checkpoint while it grows", () =>
    Effect.gen(function* () {
      const folder = newFolder()
      const log = yield* makeLog(messages.slice(0, 4))
      const first = yield* on(log, makeCheckpoint(folder, signer))
      assert.deepInclude(first, { size: 3, added: 3 })
      assert.deepStrictEqual(yield* on(log, makeCheckpoint(folder, signer)), { ...first, added: 0 })
      yield* on(log, append({ libraryId, streamId: DocumentId.make("new") }, document(1)))
      yield* on(log, append(other, [{ ...document(1)[1]!, clock: 3 } as never]))
      assert.deepStrictEqual(yield* since(log, folder), [])
      const second = yield* on(log, makeCheckpoint(folder, signer))
      assert.deepInclude(second, { size: 5, added: 2 })
      assert.match(second.note, /^example.com\/log\n5\n.{44}\n\n— example.com\/log .+\n$/)
      assert.deepStrictEqual(yield* since(log, folder), [])
    })
  )

  it.live("with a computed chain looks as written to `replay`, and is named by its checkpoint", () =>
    Effect.gen(function* () {
      const folder = newFolder()
      yield* on(yield* makeLog(), makeCheckpoint(folder, signer))
      const isKnown = "this event and those before it are not the ones that the checkpoint knows"
      const cases: ReadonlyArray<readonly [log: string, ReadonlyArray<string>]> = [
        [
          yield* makeLog(messages.slice(0, 5)),
          [`welcome 6 not-continued: the stream ends at version 5, and the checkpoint knows version 6`]
        ],
        [
          yield* makeLog([...messages.slice(0, 5), ...history(author).slice(5)]),
          // The same message again has another nonce.
          [`welcome 6 not-continued: ${isKnown}`]
        ],
        [
          yield* makeLog(messages, { hasOther: false }),
          ["other 4 not-continued: the stream is gone, and the checkpoint knows it"]
        ]
      ]
      for (const [log, expected] of cases) {
        const { problems } = yield* on(log, replay())
        assert.deepStrictEqual(problems, [], "replay sees nothing")
        const found = (yield* since(log, folder)).filter((text) => !text.startsWith("@"))
        assert.deepStrictEqual(found, expected)
        const refused = yield* Effect.flip(on(log, makeCheckpoint(folder, signer)))
        assert.strictEqual(refused._tag, "LogNotContinued")
      }
      const renamed = yield* makeLog(messages, { user: "nobody" })
      assert.deepStrictEqual((yield* on(renamed, replay())).problems, [])
      assert.deepStrictEqual(yield* since(renamed, folder), [`@library 1 not-continued: ${isKnown}`])
    })
  )
})

describe("a folder of checkpoints", () => {
  it.live("is refused if its entries or its checkpoint were changed, or another key signed them", () =>
    Effect.gen(function* () {
      const folder = newFolder()
      const log = yield* makeLog()
      yield* on(log, makeCheckpoint(folder, signer))
      const refusal = Effect.map(Effect.flip(since(log, folder)), ({ message }) => message)
      const entries = join(folder, `entries-${"0".repeat(16)}.jsonl`)
      const text = readFileSync(entries, "utf8")
      writeFileSync(entries, text.replace('"version":6', '"version":5'))
      assert.include(yield* refusal, "the entries are not those of the newest checkpoint")
      writeFileSync(entries, text.slice(0, text.indexOf("\n") + 1))
      assert.include(yield* refusal, "the entries are not those of the newest checkpoint")
      writeFileSync(entries, text)
      assert.deepStrictEqual(yield* since(log, folder), [])
      const checkpoint = join(folder, "checkpoint")
      const note = readFileSync(checkpoint, "utf8")
      writeFileSync(checkpoint, note.replace("\n3\n", "\n2\n"))
      assert.include(yield* refusal, "is not signed by")
      const another = parseSigner(makeKeys("example.com/log")!.signer)!
      writeFileSync(checkpoint, note)
      const byAnother = yield* Effect.flip(on(log, makeCheckpoint(folder, another)))
      assert.include(byAnother.message, "is not signed by")
      rmSync(checkpoint)
      assert.include(yield* refusal, "there is no checkpoint")
    })
  )

  it.live("goes on after a writer that ended before it signed", () =>
    Effect.gen(function* () {
      const folder = newFolder()
      const log = yield* makeLog()
      yield* on(log, makeCheckpoint(folder, signer))
      writeFileSync(join(folder, `entries-${"3".padStart(16, "0")}.jsonl`), "half a li")
      assert.deepStrictEqual(yield* since(log, folder), [])
      yield* on(log, append({ libraryId, streamId: DocumentId.make("new") }, document(1)))
      assert.deepInclude(yield* on(log, makeCheckpoint(folder, signer)), { size: 4, added: 1 })
      assert.deepStrictEqual(yield* since(log, folder), [])
    })
  )
})

describe("a proof", () => {
  it.live("holds in a program that shares no code, and not once a hash is changed", () =>
    Effect.gen(function* () {
      const folder = newFolder()
      const log = yield* makeLog()
      for (let i = 0; i < 6; i++) {
        yield* on(log, append({ libraryId, streamId: DocumentId.make(`new-${i}`) }, document(i)))
        yield* on(log, makeCheckpoint(folder, signer))
      }
      const verifies = (proof: CheckpointProof, ...args: ReadonlyArray<string>): string => {
        const file = join(folder, "proof.json")
        writeFileSync(file, JSON.stringify(proof))
        const program = join(import.meta.dirname, "../../examples/verify-checkpoint.mjs")
        try {
          return execFileSync(process.execPath, [program, verifier, file, ...args], { encoding: "utf8", stdio: "pipe" })
        } catch (error) {
          return (error as { stderr: string }).stderr
        }
      }
      const prove = (what: StreamKey | { readonly from: number }) => proveCheckpoint(folder, signer.verifier, what)
      const inclusion = yield* prove(key)
      assert.match(verifies(inclusion), new RegExp(`^Entry \\d of the checkpoint of 9 is .*"streamId":"${docId}"`))
      const consistency = yield* prove({ from: 5 })
      const earlier = join(folder, "checkpoint-5")
      assert.include(verifies(consistency, earlier), "The checkpoint of 9 entries continues the one of 5")

      const changed = (path: ReadonlyArray<string>) => [Buffer.alloc(32).toString("base64"), ...path.slice(1)]
      for (const [proof, ...args] of [
        [{ ...inclusion, path: changed(inclusion.path) }],
        [{ ...inclusion, entry: "another" }],
        [{ ...inclusion, checkpoint: inclusion.checkpoint.replace("\n9\n", "\n8\n") }],
        [{ ...consistency, path: changed(consistency.path) }, earlier],
        [consistency, join(folder, "checkpoint-6")]
      ] as ReadonlyArray<[CheckpointProof, ...ReadonlyArray<string>]>) {
        assert.include(verifies(proof, ...args), "The proof does not hold")
      }
      const unknown = yield* Effect.flip(prove({ libraryId, streamId: DocumentId.make("unknown") }))
      assert.include(unknown.message, "they do not name notes/unknown")
    })
  )
})
