/** The rules of a Secsync document, one by one: given a history, when a message arrives, then an event or a refusal. */
import { assert, describe, it } from "@effect/vitest"
import { HashMap, Result } from "effect"
import { DocumentId, Hash, LibraryId, PublicKey, SnapshotId } from "../../../src/domain/Ids.ts"
import { noQuota, type QuotaChange } from "../../../src/domain/Quota.ts"
import { emptyHead, place, type StreamEvent } from "../../../src/domain/Stream.ts"
import * as Secsync from "../../../src/domain/secsync/index.ts"
import {
  type Author,
  childProof,
  makeAuthor,
  randomId,
  resign,
  type SealedSnapshot,
  type SealedUpdate,
  snapshotMessage,
  updateMessage
} from "../../../src/testing/SealedMessages.ts"
import { hash } from "./SecsyncModel.ts"

const docId = DocumentId.make("document")
const alice = makeAuthor()
const bob = makeAuthor()

const s1 = snapshotMessage(alice, { docId })
/** Alice's updates 0 and 1, and Bob's update 0, to the first snapshot. */
const [a0, a1, b0] = [update(alice, s1, 0), update(alice, s1, 1), update(bob, s1, 0)]
const clocks = { [alice.pubKey]: 1, [bob.pubKey]: 0 }
const s2 = snapshotMessage(bob, { docId, parent: s1, clocks })
const a0OfS2 = update(alice, s2, 0)
const s3 = snapshotMessage(alice, { docId, parent: s2 })
const evict = "evict"
/** A proof that follows from no snapshot. */
const forged = Hash.make(hash("forged"))

describe("a document that is made or deleted", () => {
  const after = (...commands: ReadonlyArray<Secsync.DocumentCommand>) =>
    commands.reduce(
      (state, command) => Secsync.evolve(state, Result.getOrThrow(Secsync.decide(state, command)), ""),
      Secsync.initial(docId)
    )
  const [create, remove, allow] = [
    { _tag: "CreateDocument" },
    { _tag: "DeleteDocument" },
    { _tag: "AllowDocument" }
  ] as const
  const first = commandOf(s1, [])
  const noDocuments = { quota: { ...noQuota, documents: 0 }, documents: 0 }

  it("is made once, and takes a first snapshot that the quota counted when it was made", () => {
    const made = after(create)
    assert.isTrue(made.isCreated)
    assert.deepStrictEqual(Secsync.decide(made, create), refused("DocumentExists"))
    assert.deepStrictEqual(Secsync.decide(after(first), create), refused("DocumentExists"))
    assert.deepStrictEqual(Secsync.decide(Secsync.initial(docId), create, noDocuments), refused("QuotaReached"))
    assert.deepStrictEqual(Secsync.decide(made, first, { ...noDocuments, mayCreate: false }), storedSnapshot(s1))
  })

  it("is not made by a snapshot where clients may not make it", () => {
    const context = { quota: noQuota, documents: 0, mayCreate: false }
    assert.deepStrictEqual(Secsync.decide(Secsync.initial(docId), first, context), refused("DocumentMissing"))
    const evicted = after(first, { _tag: "Evict" })
    assert.deepStrictEqual(Secsync.decide(evicted, commandOf(s2, [s1]), context), storedSnapshot(s2))
  })

  it("takes nothing once it is deleted, whether it existed or not", () => {
    for (const deleted of [after(remove), after(first, remove), after(first, { _tag: "Evict" }, remove)]) {
      for (const command of [first, commandOf(a0, [s1]), create, remove]) {
        assert.deepStrictEqual(Secsync.decide(deleted, command), refused("DocumentDeleted"))
      }
      assert.deepStrictEqual(Secsync.decide(deleted, { _tag: "Evict" }), refused("NothingToEvict"))
    }
  })

  it("begins again once it is allowed to", () => {
    assert.deepStrictEqual(Secsync.decide(after(first), allow), refused("NothingToAllow"))
    const again = after(first, remove, allow)
    assert.deepStrictEqual(again, Secsync.initial(docId))
    assert.deepStrictEqual(Secsync.decide(again, create), Result.succeed({ _tag: "DocumentCreated" }))
  })
})

describe("a document with many authors", () => {
  it("keeps each author's clock, in each of its states", () => {
    const authors = Array.from({ length: 1000 }, (_, i) => PublicKey.make(`${i}`.padStart(43, "A")))
    const states = [Secsync.initial(docId)]
    for (const pubKey of authors) {
      const event = { _tag: "UpdateStored", refSnapshotId: SnapshotId.make("s"), pubKey, clock: 0 } as const
      states.push(Secsync.evolve(states.at(-1)!, event, pubKey))
    }
    for (const i of [0, 1, 500, 999, 1000]) {
      const state = states[i]!
      const known = authors.filter((pubKey) => Secsync.authorClock(state, pubKey)?.payloadHash === pubKey)
      assert.deepStrictEqual(known, authors.slice(0, i))
    }
  })
})

describe("an empty document", () => {
  it("begins with a snapshot without a parent", () => {
    assert.deepStrictEqual(given().when(s1), storedSnapshot(s1))
    const state = stateAfter(s1)
    assert.deepStrictEqual(state.active, {
      snapshotId: SnapshotId.make(s1.publicData.snapshotId),
      ciphertextHash: ciphertextHashOf(s1),
      parentSnapshotProof: childProof(undefined),
      payloadHash: payloadHashOf(s1)
    })
    assert.strictEqual(HashMap.size(state.clocks) + state.updates, 0)
  })

  it("refuses a first snapshot with any proof but the empty one", () => {
    const forgery = resign(alice, s1, { parentSnapshotProof: forged })
    assert.deepStrictEqual(given().when(forgery), refused("SnapshotProofInvalid"))
    const afterS1 = resign(alice, s1, { parentSnapshotProof: childProof(s1) })
    assert.deepStrictEqual(given().when(afterS1), refused("SnapshotProofInvalid"))
  })

  it("begins once: the second of two first snapshots is outdated", () => {
    assert.deepStrictEqual(given(s1).when(snapshotMessage(bob, { docId })), refused("SnapshotOutdated"))
  })

  it("begins with a later snapshot of a client, and checks proofs from then on", () => {
    assert.deepStrictEqual(given().when(s3), storedSnapshot(s3))
    assert.deepStrictEqual(given().when(s2), storedSnapshot(s2))
    assert.deepStrictEqual(given(s2).when(a0OfS2), storedUpdate(a0OfS2))
    assert.deepStrictEqual(given(s2).when(s3), storedSnapshot(s3))
    assert.deepStrictEqual(
      given(s2).when(resign(alice, s3, { parentSnapshotProof: forged })),
      refused("SnapshotProofInvalid")
    )
  })

  it("refuses a snapshot that is its own parent", () => {
    const { snapshotId } = s2.publicData
    assert.deepStrictEqual(given().when(resign(bob, s2, { parentSnapshotId: snapshotId })), refused("SnapshotIdUsed"))
  })

  it("refuses an update and an eviction", () => {
    assert.deepStrictEqual(given().when(a0), refused("NoSnapshot"))
    assert.deepStrictEqual(given().when(evict), refused("NothingToEvict"))
  })
})

describe("a snapshot", () => {
  it("is stored after the active snapshot and all its updates", () => {
    assert.deepStrictEqual(given(s1, a0, b0, a1).when(s2), storedSnapshot(s2))
    const state = stateAfter(s1, a0, b0, a1, s2)
    assert.strictEqual(state.active?.snapshotId, s2.publicData.snapshotId)
    assert.strictEqual(HashMap.size(state.clocks), 0)
    assert.strictEqual(state.updates, 0)
  })

  it("is outdated if its parent is not the active snapshot", () => {
    const history = given(s1, a0, b0, a1, s2)
    assert.deepStrictEqual(
      history.when(snapshotMessage(alice, { docId, parent: s1, clocks })),
      refused("SnapshotOutdated")
    )
    assert.deepStrictEqual(history.when(snapshotMessage(alice, { docId })), refused("SnapshotOutdated"))
    assert.deepStrictEqual(history.when(snapshotMessage(alice, { docId, parent: s3 })), refused("SnapshotOutdated"))
  })

  it("misses updates unless its clocks equal the stored ones", () => {
    const history = given(s1, a0, b0, a1)
    const withClocks = (clocks: Record<string, number>) =>
      history.when(snapshotMessage(bob, { docId, parent: s1, clocks }))
    assert.isTrue(Result.isSuccess(withClocks(clocks)))
    for (const wrong of [
      {},
      { [alice.pubKey]: 1 },
      { ...clocks, [alice.pubKey]: 0 },
      { [alice.pubKey]: 1, [makeAuthor().pubKey]: 0 }
    ]) {
      assert.deepStrictEqual(withClocks(wrong), refused("SnapshotMissesUpdates"))
    }
  })

  it("may know updates that the log does not hold, because the log was restored from a backup", () => {
    const history = given(s1, a0, b0, a1)
    for (const ahead of [{ [alice.pubKey]: 2 }, { [makeAuthor().pubKey]: 0 }]) {
      const message = snapshotMessage(bob, { docId, parent: s1, clocks: { ...clocks, ...ahead } })
      assert.deepStrictEqual(history.when(message), refused("SnapshotMissesUpdates"))
      const state = [s1, a0, b0, a1].reduce(
        (before, stored) =>
          Secsync.evolve(
            before,
            Result.getOrThrow(Secsync.decide(before, commandOf(stored, []) as Secsync.DocumentCommand)),
            payloadHashOf(stored)
          ),
        Secsync.initial(docId)
      )
      const decide = (more: object, context = {}) =>
        Result.isSuccess(
          Secsync.decide(state, { ...commandOf(message, [s1, a0, b0, a1]), ...more } as Secsync.DocumentCommand, {
            ...{ quota: noQuota, documents: 0 },
            ...context
          })
        )
      assert.isFalse(decide({}))
      assert.isTrue(decide({ knowsMore: true }))
      assert.isTrue(decide({}, { restoredAt: 1 }))
    }
  })

  it("is refused without the proof that follows from its parent", () => {
    const lineage = given(s1, a0, b0, a1)
    for (const proof of [forged, childProof(undefined), childProof(s2)]) {
      const forgery = resign(bob, s2, { parentSnapshotProof: proof })
      assert.deepStrictEqual(lineage.when(forgery), refused("SnapshotProofInvalid"))
    }
    const tampered = { ...s1, ciphertext: s2.ciphertext }
    assert.deepStrictEqual(
      lineage.when(snapshotMessage(bob, { docId, parent: tampered, clocks })),
      refused("SnapshotProofInvalid")
    )
  })

  it("is refused if an earlier snapshot has its id", () => {
    const { snapshotId } = s1.publicData
    const again = snapshotMessage(bob, { docId, snapshotId, parent: s2 })
    assert.deepStrictEqual(given(s1, a0, b0, a1, s2).when(again), refused("SnapshotIdUsed"))
    const ownParents = snapshotMessage(bob, { docId, snapshotId, parent: s1 })
    assert.deepStrictEqual(given(s1).when(ownParents), refused("SnapshotIdUsed"))
  })

  it("is stored already if it is repeated while it is active, and outdated later", () => {
    assert.deepStrictEqual(given(s1).when(s1), refused("AlreadyStored"))
    assert.deepStrictEqual(given(s1, a0).when(s1), refused("AlreadyStored"))
    assert.deepStrictEqual(given(s1, a0, b0, a1, s2).when(s2), refused("AlreadyStored"))
    assert.deepStrictEqual(given(s1, a0, b0, a1, s2).when(s1), refused("SnapshotOutdated"))
  })

  it("is no repeat if it has the active snapshot's id and other content", () => {
    const { snapshotId } = s1.publicData
    assert.deepStrictEqual(given(s1).when(snapshotMessage(alice, { docId, snapshotId })), refused("SnapshotOutdated"))
  })

  it("is refused if it names another document", () => {
    const other = resign(alice, s1, { docId: "another" })
    assert.deepStrictEqual(given().when(other), refused("WrongDocument"))
    assert.deepStrictEqual(given(s1).when(other), refused("WrongDocument"))
  })
})

describe("an update", () => {
  it("is stored if its clock is the next one of its author, from 0", () => {
    assert.deepStrictEqual(given(s1).when(a0), storedUpdate(a0))
    assert.deepStrictEqual(given(s1, a0).when(a1), storedUpdate(a1))
    assert.deepStrictEqual(given(s1, a0, a1).when(b0), storedUpdate(b0))
    const state = stateAfter(s1, a0, b0, a1)
    assert.deepStrictEqual(Secsync.lastClocks(state.clocks), clocks)
    assert.strictEqual(state.updates, 3)
  })

  it("is ahead if its clock leaves a gap", () => {
    assert.deepStrictEqual(given(s1).when(a1), refusedClock("ClockAhead", 0))
    assert.deepStrictEqual(given(s1, b0).when(a1), refusedClock("ClockAhead", 0))
    assert.deepStrictEqual(given(s1, a0).when(update(alice, s1, 2)), refusedClock("ClockAhead", 1))
  })

  it("is stored already if it is repeated, even after later updates", () => {
    const history = given(s1, a0, b0, a1, update(alice, s1, 2))
    for (const repeat of [a0, b0, a1]) assert.deepStrictEqual(history.when(repeat), refused("AlreadyStored"))
  })

  it("is refused if another update of its author has its clock", () => {
    const history = given(s1, a0, b0, a1)
    const taken = refusedClock("ClockTaken", 2)
    assert.deepStrictEqual(history.when(update(alice, s1, 0)), taken)
    assert.deepStrictEqual(history.when(update(alice, s1, 1)), taken)
    // The content of one update with the clock of the other.
    assert.deepStrictEqual(history.when(resign(alice, a1, { clock: 0 })), taken)
  })

  it("has clock 0 after every snapshot", () => {
    const history = given(s1, a0, b0, a1, s2)
    assert.deepStrictEqual(history.when(a0OfS2), storedUpdate(a0OfS2))
    assert.deepStrictEqual(history.when(update(alice, s2, 2)), refusedClock("ClockAhead", 0))
  })

  it("is outdated unless it refers to the active snapshot", () => {
    const history = given(s1, a0, b0, a1, s2)
    assert.deepStrictEqual(history.when(update(alice, s1, 2)), refused("UpdateOutdated"))
    assert.deepStrictEqual(history.when(a1), refused("UpdateOutdated"))
    assert.deepStrictEqual(history.when(update(alice, s3, 0)), refused("UpdateOutdated"))
  })

  it("is refused if it names another document", () => {
    const other = resign(alice, a0, { docId: "another" })
    assert.deepStrictEqual(given(s1).when(other), refused("WrongDocument"))
    assert.deepStrictEqual(given().when(other), refused("WrongDocument"))
  })

  it("is refused if a snapshot is due, unless it is a repeat or its clock is wrong", () => {
    const history = given(s1, a0, b0)
    assert.deepStrictEqual(history.when(a1, { dueAfter: 3 }), storedUpdate(a1))
    assert.deepStrictEqual(history.when(a1, { dueAfter: 2 }), refused("SnapshotDue"))
    assert.deepStrictEqual(history.when(a0, { dueAfter: 2 }), refused("AlreadyStored"))
    assert.deepStrictEqual(history.when(update(alice, s1, 2), { dueAfter: 2 }), refusedClock("ClockAhead", 1))
    const next = given(s1, a0, b0, a1, s2)
    assert.deepStrictEqual(next.when(a0OfS2, { dueAfter: 2 }), storedUpdate(a0OfS2))
  })
})

describe("an eviction", () => {
  it("keeps the proof and the clocks that a restoring client needs", () => {
    const { snapshotId, parentSnapshotProof } = s1.publicData
    const evicted: Secsync.Evicted = {
      _tag: "Evicted",
      snapshot: {
        snapshotId: SnapshotId.make(snapshotId),
        ciphertextHash: ciphertextHashOf(s1),
        parentSnapshotProof
      },
      clocks
    }
    assert.deepStrictEqual(given(s1, a0, b0, a1).when(evict), Result.succeed(evicted))
    const state = stateAfter(s1, a0, b0, a1, evict)
    assert.isUndefined(state.active)
    assert.strictEqual(HashMap.size(state.clocks), 0)
    assert.strictEqual(state.updates, 0)
    assert.deepStrictEqual(state.evicted, evicted)
  })

  it("happens once", () => {
    assert.deepStrictEqual(given(s1, evict).when(evict), refused("NothingToEvict"))
  })

  it("refuses every update after it, repeats included", () => {
    const history = given(s1, a0, evict)
    assert.deepStrictEqual(history.when(a1), refused("NoSnapshot"))
    assert.deepStrictEqual(history.when(a0), refused("NoSnapshot"))
  })

  it("is undone by a child of the evicted snapshot", () => {
    const history = given(s1, a0, b0, a1, evict)
    assert.deepStrictEqual(history.when(s2), storedSnapshot(s2))
    const state = stateAfter(s1, a0, b0, a1, evict, s2)
    assert.strictEqual(state.active?.snapshotId, s2.publicData.snapshotId)
    assert.isUndefined(state.evicted)
  })

  it("is undone even by a client that missed updates, because no server can send them any more", () => {
    const stale = snapshotMessage(bob, { docId, parent: s1, clocks: { [alice.pubKey]: 0 } })
    assert.deepStrictEqual(given(s1, a0, b0, a1, evict).when(stale), storedSnapshot(stale))
  })

  it("is not undone by a forged proof, an older parent, or the evicted snapshot itself", () => {
    const history = given(s1, a0, b0, a1, s2, evict)
    assert.deepStrictEqual(
      history.when(resign(alice, s3, { parentSnapshotProof: forged })),
      refused("SnapshotProofInvalid")
    )
    assert.deepStrictEqual(
      history.when(snapshotMessage(bob, { docId, parent: s1, clocks })),
      refused("SnapshotOutdated")
    )
    assert.deepStrictEqual(history.when(s2), refused("SnapshotOutdated"))
    assert.deepStrictEqual(given(s1, evict).when(s1), refused("SnapshotIdUsed"))
  })

  it("lets a new client start the document again, after which the evicted line is outdated", () => {
    const restart = snapshotMessage(bob, { docId })
    assert.deepStrictEqual(given(s1, a0, b0, a1, evict).when(restart), storedSnapshot(restart))
    const history = given(s1, a0, b0, a1, evict, restart)
    assert.deepStrictEqual(history.when(s2), refused("SnapshotOutdated"))
    assert.deepStrictEqual(given(s1, a0, b0, a1, evict, restart, evict).when(s2), refused("SnapshotOutdated"))
    const restored = snapshotMessage(bob, { docId, parent: restart })
    assert.deepStrictEqual(given(s1, evict, restart, evict).when(restored), storedSnapshot(restored))
    const forgery = resign(bob, restart, { parentSnapshotProof: childProof(s1) })
    assert.deepStrictEqual(given(s1, evict).when(forgery), refused("SnapshotProofInvalid"))
  })
})

describe("a proof chain", () => {
  const ancestors = [s2, s3].map((snapshot) => ({
    snapshotId: SnapshotId.make(snapshot.publicData.snapshotId),
    ciphertextHash: ciphertextHashOf(snapshot),
    parentSnapshotProof: snapshot.publicData.parentSnapshotProof,
    parentSnapshotId: SnapshotId.make(snapshot.publicData.parentSnapshotId)
  }))
  const known = SnapshotId.make(s1.publicData.snapshotId)

  it("leads from the known snapshot, which it excludes, to the last one", () => {
    assert.deepStrictEqual(
      Secsync.proofChain(known, ancestors),
      ancestors.map(({ parentSnapshotId: _, ...proof }) => proof)
    )
    assert.deepStrictEqual(Secsync.proofChain(known, []), [])
  })

  it("is empty when the line is broken", () => {
    assert.deepStrictEqual(Secsync.proofChain(known, ancestors.slice(1)), [])
    assert.deepStrictEqual(Secsync.proofChain(known, [...ancestors].reverse()), [])
    assert.deepStrictEqual(Secsync.proofChain(SnapshotId.make(randomId()), ancestors), [])
  })
})

describe("a document's quota", () => {
  const under = (change: QuotaChange, documents = 0) => ({ quota: { ...noQuota, ...change }, documents })
  const storedBytes = (message: SealedSnapshot | SealedUpdate, payloadBytes: number) =>
    ({ ...commandOf(message, []), payloadBytes }) as Secsync.DocumentCommand
  const after = (...events: ReadonlyArray<readonly [SealedSnapshot | SealedUpdate, number]>) =>
    events.reduce(
      (state, [message, bytes]) =>
        Secsync.evolve(
          state,
          Result.getOrThrow(Secsync.decide(state, storedBytes(message, bytes))),
          payloadHashOf(message)
        ),
      Secsync.initial(docId)
    )

  it("asks for a snapshot once the active one and its updates have as many bytes", () => {
    const state = after([s1, 60], [a0, 30])
    assert.strictEqual(state.bytes, 90)
    const quota = under({ documentBytes: 100 })
    assert.isTrue(Result.isSuccess(Secsync.decide(state, storedBytes(b0, 10), quota)))
    assert.deepStrictEqual(Secsync.decide(state, storedBytes(b0, 11), quota), refused("SnapshotDue"))
    assert.isTrue(Result.isSuccess(Secsync.decide(state, storedBytes(b0, 11))), "without a quota")
  })

  it("refuses a snapshot with more bytes, and starts the count with one that has fewer", () => {
    const state = after([s1, 60], [a0, 30], [b0, 5], [a1, 5])
    const quota = under({ documentBytes: 50 })
    const replaces = (bytes: number) => ({ ...commandOf(s2, [s1, a0, b0, a1]), payloadBytes: bytes })
    assert.deepStrictEqual(Secsync.decide(state, replaces(51), quota), refused("QuotaReached"))
    const stored = Result.getOrThrow(Secsync.decide(state, replaces(40), quota))
    assert.strictEqual(Secsync.evolve(state, stored, "").bytes, 40)
  })

  it("asks for a snapshot when a further author writes", () => {
    const quota = under({ documentAuthors: 1 })
    const state = after([s1, 1], [a0, 1])
    assert.deepStrictEqual(Secsync.decide(state, storedBytes(b0, 1), quota), refused("SnapshotDue"))
    assert.isTrue(Result.isSuccess(Secsync.decide(state, storedBytes(a1, 1), quota)))
  })

  it("refuses the first snapshot of a new document in a full library, and takes those of others", () => {
    const full = under({ documents: 3 }, 3)
    assert.deepStrictEqual(Secsync.decide(Secsync.initial(docId), storedBytes(s1, 1), full), refused("QuotaReached"))
    assert.isTrue(
      Result.isSuccess(Secsync.decide(Secsync.initial(docId), storedBytes(s1, 1), { ...full, documents: 2 }))
    )
    const stored = after([s1, 1], [a0, 1], [b0, 1], [a1, 1])
    const replaces = { ...commandOf(s2, [s1, a0, b0, a1]), payloadBytes: 1 }
    assert.isTrue(Result.isSuccess(Secsync.decide(stored, replaces, full)))
    const evicted = Secsync.evolve(stored, Result.getOrThrow(Secsync.decide(stored, { _tag: "Evict" })), "")
    assert.isTrue(Result.isSuccess(Secsync.decide(evicted, replaces, full)))
  })

  it.each([
    ["events", { events: 3, payloadBytes: 9 }],
    ["payload bytes", { events: 2, payloadBytes: 10 }]
  ])("asks for a snapshot in a library with as many %s as its quota, and refuses the snapshot", (_, logUse) => {
    const state = after([s1, 1], [a0, 1], [b0, 1])
    const context = under({ events: 3, payloadBytes: 10 })
    const [left, full] = [
      { ...context, logUse: { events: 2, payloadBytes: 9 } },
      { ...context, logUse }
    ]
    assert.isTrue(Result.isSuccess(Secsync.decide(state, storedBytes(a1, 1), left)))
    assert.deepStrictEqual(Secsync.decide(state, storedBytes(a1, 1), full), refused("SnapshotDue"))
    assert.deepStrictEqual(Secsync.decide(state, storedBytes(a0, 1), full), refused("AlreadyStored"))
    const written = after([s1, 1], [a0, 1], [b0, 1], [a1, 1])
    const replaces = { ...commandOf(s2, [s1, a0, b0, a1]), payloadBytes: 1 }
    assert.isTrue(Result.isSuccess(Secsync.decide(written, replaces, left)))
    assert.deepStrictEqual(Secsync.decide(written, replaces, full), refused("QuotaReached"))
    assert.isTrue(Result.isSuccess(Secsync.decide(state, { _tag: "Evict" }, full)))
    assert.isTrue(Result.isSuccess(Secsync.decide(state, { _tag: "DeleteDocument" }, full)))
  })

  it("does not count events that do not say their bytes", () => {
    assert.strictEqual(stateAfter(s1, a0).bytes, 0)
  })
})

describe("known clocks", () => {
  it("cover a snapshot's updates if they reach every author's clock", () => {
    const known = (clocks: Record<string, number>) => new Map(Object.entries(clocks))
    assert.isTrue(Secsync.covers(known(clocks), clocks))
    assert.isTrue(Secsync.covers(known({ ...clocks, [alice.pubKey]: 7 }), clocks))
    assert.isTrue(Secsync.covers(known({}), {}))
    assert.isFalse(Secsync.covers(known({ ...clocks, [alice.pubKey]: 0 }), clocks))
    assert.isFalse(Secsync.covers(known({ [alice.pubKey]: 1 }), clocks))
  })
})

describe("an event in a stream", () => {
  const inStream = (event: Secsync.DocumentEvent, payloadHash: Hash | ""): StreamEvent =>
    place(
      { libraryId: LibraryId.make("library"), streamId: docId },
      emptyHead,
      Secsync.toNewEvent(event, payloadHash),
      "test",
      0
    )

  it("decodes to the decided event, even after JSON", () => {
    for (const [decided, payloadHash] of [
      [given().when(s1), payloadHashOf(s1)],
      [given(s1).when(a0), payloadHashOf(a0)],
      [given(s1, a0).when(evict), ""]
    ] as const) {
      const event = Result.getOrThrow(decided)
      const stored = inStream(event, payloadHash)
      assert.strictEqual(stored.payloadHash, payloadHash)
      assert.strictEqual(stored.checkpoint, event._tag !== "UpdateStored")
      assert.deepStrictEqual(Secsync.fromStreamEvent(JSON.parse(JSON.stringify(stored))), event)
    }
  })

  it("does not decode when it is damaged", () => {
    const stored = inStream(Result.getOrThrow(given(s1, a0, b0, a1).when(s2)), payloadHashOf(s2))
    const damages: ReadonlyArray<object> = [
      { ciphertextHash: "short" },
      { parentSnapshotId: undefined },
      { snapshotId: 1 },
      { parentSnapshotUpdateClocks: { [alice.pubKey]: -1 } },
      { parentSnapshotUpdateClocks: { [alice.pubKey]: 0.5 } },
      { parentSnapshotUpdateClocks: { constructor: 0 } },
      { parentSnapshotUpdateClocks: JSON.parse('{"__proto__":0}') }
    ]
    for (const damage of damages) {
      assert.throws(() => Secsync.fromStreamEvent({ ...stored, data: { ...stored.data, ...damage } }))
    }
    assert.throws(() => Secsync.fromStreamEvent({ ...stored, type: "UpdateStored" }))
    assert.throws(() => Secsync.fromStreamEvent({ ...stored, type: "Unknown" }))
  })
})

// ------------------------------------------------------------------------------------------------- given, when, then

type Message = SealedSnapshot | SealedUpdate | typeof evict
type Decision = Result.Result<Secsync.DocumentEvent, Secsync.DocumentRefusal>

/** Stores a history; every message in it must be accepted. */
function given(...history: ReadonlyArray<Message>) {
  return {
    when: (message: Message, options: { readonly dueAfter?: number } = {}): Decision =>
      Secsync.decide(stateAfter(...history), commandOf(message, history, options.dueAfter))
  }
}

function stateAfter(...history: ReadonlyArray<Message>): Secsync.DocumentState {
  return history.reduce(
    (state, message, i) =>
      Secsync.evolve(
        state,
        Result.getOrThrow(Secsync.decide(state, commandOf(message, history.slice(0, i)))),
        message === evict ? "" : payloadHashOf(message)
      ),
    Secsync.initial(docId)
  )
}

function commandOf(
  message: Message,
  history: ReadonlyArray<Message>,
  snapshotDueAfter = Number.POSITIVE_INFINITY
): Secsync.DocumentCommand {
  if (message === evict) return { _tag: "Evict" }
  const payloadHash = payloadHashOf(message)
  if (!isSnapshot(message)) {
    const { docId, refSnapshotId, pubKey, clock } = message.publicData
    return {
      _tag: "StoreUpdate",
      documentId: docId,
      refSnapshotId: SnapshotId.make(refSnapshotId),
      pubKey,
      clock,
      payloadHash,
      snapshotDueAfter
    }
  }
  const { docId, pubKey, snapshotId, parentSnapshotId, parentSnapshotProof } = message.publicData
  const clocks = Object.entries(message.publicData.parentSnapshotUpdateClocks)
  return {
    _tag: "StoreSnapshot",
    documentId: docId,
    snapshotId: SnapshotId.make(snapshotId),
    parentSnapshotId: parentSnapshotId === "" ? "" : SnapshotId.make(parentSnapshotId),
    parentSnapshotProof,
    parentSnapshotUpdateClocks: new Map(clocks.map(([author, clock]) => [PublicKey.make(author), clock])),
    pubKey,
    ciphertextHash: ciphertextHashOf(message),
    payloadHash,
    used: history.some((other) => other !== evict && isSnapshot(other) && other.publicData.snapshotId === snapshotId)
  }
}

function storedSnapshot(message: SealedSnapshot): Decision {
  const { snapshotId, parentSnapshotId, parentSnapshotProof, parentSnapshotUpdateClocks, pubKey } = message.publicData
  return Result.succeed({
    _tag: "SnapshotStored",
    snapshotId: SnapshotId.make(snapshotId),
    ciphertextHash: ciphertextHashOf(message),
    parentSnapshotProof,
    parentSnapshotId: parentSnapshotId === "" ? "" : SnapshotId.make(parentSnapshotId),
    parentSnapshotUpdateClocks,
    pubKey
  })
}

function storedUpdate({ publicData: { refSnapshotId, pubKey, clock } }: SealedUpdate): Decision {
  return Result.succeed({ _tag: "UpdateStored", refSnapshotId: SnapshotId.make(refSnapshotId), pubKey, clock })
}

function refused(tag: Exclude<Secsync.DocumentRefusal["_tag"], "ClockAhead" | "ClockTaken">): Decision {
  return Result.fail({ _tag: tag })
}

function refusedClock(tag: "ClockAhead" | "ClockTaken", expected: number): Decision {
  return Result.fail({ _tag: tag, expected })
}

function update(author: Author, snapshot: SealedSnapshot, clock: number): SealedUpdate {
  return updateMessage(author, { docId, refSnapshotId: snapshot.publicData.snapshotId, clock })
}

function isSnapshot(message: SealedSnapshot | SealedUpdate): message is SealedSnapshot {
  return "snapshotId" in message.publicData
}

function ciphertextHashOf({ ciphertext }: SealedSnapshot): Hash {
  return Hash.make(hash(ciphertext))
}

function payloadHashOf(message: SealedSnapshot | SealedUpdate): Hash {
  return Hash.make(hash(JSON.stringify(message)))
}
