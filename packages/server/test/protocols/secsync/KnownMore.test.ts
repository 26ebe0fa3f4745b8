/** A client that comes back to a restored log, beside another one that brings back what the log lost. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeTroubledLog } from "#test-support/storage/TroubledLog"
import { blake2b256 } from "../../../src/domain/Blake2b.ts"
import { LibraryId, SnapshotId } from "../../../src/domain/Ids.ts"
import { advance, emptyHead, place, type StreamHead } from "../../../src/domain/Stream.ts"
import { toNewEvent } from "../../../src/domain/secsync/Events.ts"
import { knownMore } from "../../../src/protocols/secsync/KnownMore.ts"
import { makeDecoder } from "../../../src/protocols/secsync/Wire.ts"
import { makeAuthor, snapshotMessage } from "../../../src/testing/SealedMessages.ts"

const key = { libraryId: LibraryId.make("notes"), streamId: "diary" }

/** The stored event of a snapshot that follows from `parent`. */
const snapshotAfter = (head: StreamHead, parent: string) => {
  const message = makeDecoder()(JSON.stringify(snapshotMessage(makeAuthor(), { docId: "diary" })))
  if (message._tag !== "Snapshot") throw new Error(message._tag)
  const { ciphertextHash, parentSnapshotProof, payload, pubKey, snapshotId } = message
  const stored = {
    ...{ _tag: "SnapshotStored" as const, snapshotId, parentSnapshotProof, ciphertextHash, pubKey },
    ...{ parentSnapshotId: parent as SnapshotId, parentSnapshotUpdateClocks: {} }
  }
  return { event: place(key, head, toNewEvent(stored, blake2b256(payload)), "test", 0), payload }
}

it.effect("a snapshot is unknown to a tail that ends before its child was stored", () =>
  Effect.gen(function* () {
    const { log } = yield* makeTroubledLog
    const lost = SnapshotId.make("a".repeat(32))
    const old = snapshotAfter(emptyHead, "")
    yield* log.append([{ key, expectedVersion: 0, events: [old] }])
    const before = yield* log.tail(key)
    const child = snapshotAfter(advance(emptyHead, old.event), lost)
    yield* log.append([{ key, expectedVersion: 1, events: [child] }])
    const known = { snapshotId: lost, clocks: new Map() }
    assert.deepStrictEqual(yield* knownMore(log, key, before, known), { _tag: "snapshot" })
    assert.deepStrictEqual(yield* knownMore(log, key, yield* log.tail(key), known), { _tag: "level" })
  })
)
