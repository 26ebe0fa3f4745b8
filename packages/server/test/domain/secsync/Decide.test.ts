/** The rules of a Secsync document, one by one: what is stored, what arrives, and the event or refusal it yields. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { DocumentId, Hash, LibraryId, PublicKey, SnapshotId } from "../../../src/domain/Ids.ts"
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
/** Alice's updates 0, 1 and Bob's 0 to the first snapshot. */
const [a0, a1, b0] = [update(alice, s1, 0), update(alice, s1, 1), update(bob, s1, 0)]
const clocks = { [alice.pubKey]: 1, [bob.pubKey]: 0 }
const s2 = snapshotMessage(bob, { docId, parent: s1, clocks })
const a0OfS2 = update(alice, s2, 0)
const s3 = snapshotMessage(alice, { docId, parent: s2 })
const evict = "evict"
/** The proof of nothing that was ever stored. */
const forged = Hash.make(hash("forged"))

describe("a document begins", () => {
  it("with a snapshot without a parent", () => {
    assert.deepStrictEqual(given().when(s1), storedSnapshot(s1))
    const state = stateAfter(s1)
    assert.deepStrictEqual(state.active, {
      snapshotId: SnapshotId.make(s1.publicData.snapshotId),
      ciphertextHash: ciphertextHashOf(s1),
      parentSnapshotProof: childProof(undefined),
      payloadHash: payloadHashOf(s1)
    })
    assert.strictEqual(state.clocks.size + state.updates, 0)
  })

  it("only with the proof of nothing", () => {
    const forgery = resign(alice, s1, { parentSnapshotProof: forged })
    assert.deepStrictEqual(given().when(forgery), refused("SnapshotProofInvalid"))
    const afterS1 = resign(alice, s1, { parentSnapshotProof: childProof(s1) })
    assert.deepStrictEqual(given().when(afterS1), refused("SnapshotProofInvalid"))
  })

  it("once: of two first snapshots, the second is outdated", () => {
    assert.deepStrictEqual(given(s1).when(snapshotMessage(bob, { docId })), refused("SnapshotOutdated"))
  })

  it("on an empty server also with what a client still has, and is held to proofs from then on", () => {
    assert.deepStrictEqual(given().when(s3), storedSnapshot(s3))
    assert.deepStrictEqual(given().when(s2), storedSnapshot(s2))
    assert.deepStrictEqual(given(s2).when(a0OfS2), storedUpdate(a0OfS2))
    assert.deepStrictEqual(given(s2).when(s3), storedSnapshot(s3))
    assert.deepStrictEqual(
      given(s2).when(resign(alice, s3, { parentSnapshotProof: forged })),
      refused("SnapshotProofInvalid")
    )
  })

  it("never with a snapshot that is its own parent", () => {
    const { snapshotId } = s2.publicData
    assert.deepStrictEqual(given().when(resign(bob, s2, { parentSnapshotId: snapshotId })), refused("SnapshotIdUsed"))
  })

  it("not with an update or an eviction", () => {
    assert.deepStrictEqual(given().when(a0), refused("NoSnapshot"))
    assert.deepStrictEqual(given().when(evict), refused("NothingToEvict"))
  })
})

describe("a snapshot", () => {
  it("follows the active one and all its updates", () => {
    assert.deepStrictEqual(given(s1, a0, b0, a1).when(s2), storedSnapshot(s2))
    const state = stateAfter(s1, a0, b0, a1, s2)
    assert.strictEqual(state.active?.snapshotId, s2.publicData.snapshotId)
    assert.strictEqual(state.clocks.size, 0)
    assert.strictEqual(state.updates, 0)
  })

  it("is outdated after any other than the active one", () => {
    const history = given(s1, a0, b0, a1, s2)
    assert.deepStrictEqual(
      history.when(snapshotMessage(alice, { docId, parent: s1, clocks })),
      refused("SnapshotOutdated")
    )
    assert.deepStrictEqual(history.when(snapshotMessage(alice, { docId })), refused("SnapshotOutdated"))
    assert.deepStrictEqual(history.when(snapshotMessage(alice, { docId, parent: s3 })), refused("SnapshotOutdated"))
  })

  it("misses updates unless its clocks are exactly those stored", () => {
    const history = given(s1, a0, b0, a1)
    const withClocks = (clocks: Record<string, number>) =>
      history.when(snapshotMessage(bob, { docId, parent: s1, clocks }))
    assert.isTrue(Result.isSuccess(withClocks(clocks)))
    for (const wrong of [
      {},
      { [alice.pubKey]: 1 },
      { ...clocks, [alice.pubKey]: 0 },
      { ...clocks, [alice.pubKey]: 2 },
      { ...clocks, [makeAuthor().pubKey]: 0 },
      { [alice.pubKey]: 1, [makeAuthor().pubKey]: 0 }
    ]) {
      assert.deepStrictEqual(withClocks(wrong), refused("SnapshotMissesUpdates"))
    }
  })

  it("needs the proof that its parent yields", () => {
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

  it("has an id that no other had", () => {
    const { snapshotId } = s1.publicData
    const again = snapshotMessage(bob, { docId, snapshotId, parent: s2 })
    assert.deepStrictEqual(given(s1, a0, b0, a1, s2).when(again), refused("SnapshotIdUsed"))
    const ownParents = snapshotMessage(bob, { docId, snapshotId, parent: s1 })
    assert.deepStrictEqual(given(s1).when(ownParents), refused("SnapshotIdUsed"))
  })

  it("sent again while it is active is stored already; later, it is outdated", () => {
    assert.deepStrictEqual(given(s1).when(s1), refused("AlreadyStored"))
    assert.deepStrictEqual(given(s1, a0).when(s1), refused("AlreadyStored"))
    assert.deepStrictEqual(given(s1, a0, b0, a1, s2).when(s2), refused("AlreadyStored"))
    assert.deepStrictEqual(given(s1, a0, b0, a1, s2).when(s1), refused("SnapshotOutdated"))
  })

  it("of the active one's id, but with other content, is no repeat", () => {
    const { snapshotId } = s1.publicData
    assert.deepStrictEqual(given(s1).when(snapshotMessage(alice, { docId, snapshotId })), refused("SnapshotOutdated"))
  })

  it("is for its own document", () => {
    const other = resign(alice, s1, { docId: "another" })
    assert.deepStrictEqual(given().when(other), refused("WrongDocument"))
    assert.deepStrictEqual(given(s1).when(other), refused("WrongDocument"))
  })
})

describe("an update", () => {
  it("counts for each author alone, from 0, by exactly 1", () => {
    assert.deepStrictEqual(given(s1).when(a0), storedUpdate(a0))
    assert.deepStrictEqual(given(s1, a0).when(a1), storedUpdate(a1))
    assert.deepStrictEqual(given(s1, a0, a1).when(b0), storedUpdate(b0))
    const state = stateAfter(s1, a0, b0, a1)
    assert.deepStrictEqual(Secsync.lastClocks(state.clocks), clocks)
    assert.strictEqual(state.updates, 3)
  })

  it("that leaves a gap is ahead", () => {
    assert.deepStrictEqual(given(s1).when(a1), refusedClock("ClockAhead", 0))
    assert.deepStrictEqual(given(s1, b0).when(a1), refusedClock("ClockAhead", 0))
    assert.deepStrictEqual(given(s1, a0).when(update(alice, s1, 2)), refusedClock("ClockAhead", 1))
  })

  it("sent again is stored already, however many came after it", () => {
    const history = given(s1, a0, b0, a1, update(alice, s1, 2))
    for (const repeat of [a0, b0, a1]) assert.deepStrictEqual(history.when(repeat), refused("AlreadyStored"))
  })

  it("with a clock that another of the same author has is refused", () => {
    const history = given(s1, a0, b0, a1)
    const taken = refusedClock("ClockTaken", 2)
    assert.deepStrictEqual(history.when(update(alice, s1, 0)), taken)
    assert.deepStrictEqual(history.when(update(alice, s1, 1)), taken)
    // The bytes of the one with the clock of the other.
    assert.deepStrictEqual(history.when(resign(alice, a1, { clock: 0 })), taken)
  })

  it("starts again at 0 with every snapshot", () => {
    const history = given(s1, a0, b0, a1, s2)
    assert.deepStrictEqual(history.when(a0OfS2), storedUpdate(a0OfS2))
    assert.deepStrictEqual(history.when(update(alice, s2, 2)), refusedClock("ClockAhead", 0))
  })

  it("is outdated unless it is for the active snapshot", () => {
    const history = given(s1, a0, b0, a1, s2)
    assert.deepStrictEqual(history.when(update(alice, s1, 2)), refused("UpdateOutdated"))
    assert.deepStrictEqual(history.when(a1), refused("UpdateOutdated"))
    assert.deepStrictEqual(history.when(update(alice, s3, 0)), refused("UpdateOutdated"))
  })

  it("is for its own document", () => {
    const other = resign(alice, a0, { docId: "another" })
    assert.deepStrictEqual(given(s1).when(other), refused("WrongDocument"))
    assert.deepStrictEqual(given().when(other), refused("WrongDocument"))
  })

  it("is refused when the snapshot has gathered enough, but a repeat is not, and a wrong clock comes first", () => {
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
  it("keeps what a client needs to restore: the snapshot's proof and the clocks", () => {
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
    assert.strictEqual(state.clocks.size, 0)
    assert.strictEqual(state.updates, 0)
    assert.deepStrictEqual(state.evicted, evicted)
  })

  it("happens once", () => {
    assert.deepStrictEqual(given(s1, evict).when(evict), refused("NothingToEvict"))
  })

  it("leaves nothing that updates could follow, repeats included", () => {
    const history = given(s1, a0, evict)
    assert.deepStrictEqual(history.when(a1), refused("NoSnapshot"))
    assert.deepStrictEqual(history.when(a0), refused("NoSnapshot"))
  })

  it("is undone by a snapshot whose parent is the evicted one", () => {
    const history = given(s1, a0, b0, a1, evict)
    assert.deepStrictEqual(history.when(s2), storedSnapshot(s2))
    const state = stateAfter(s1, a0, b0, a1, evict, s2)
    assert.strictEqual(state.active?.snapshotId, s2.publicData.snapshotId)
    assert.isUndefined(state.evicted)
  })

  it("is undone also by a client that missed updates: nobody could send it those any more", () => {
    const stale = snapshotMessage(bob, { docId, parent: s1, clocks: { [alice.pubKey]: 0 } })
    assert.deepStrictEqual(given(s1, a0, b0, a1, evict).when(stale), storedSnapshot(stale))
  })

  it("is not undone with another proof, an older parent, or the evicted snapshot itself", () => {
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

  it("lets a newcomer begin anew, after which the evicted line is outdated", () => {
    const anew = snapshotMessage(bob, { docId })
    assert.deepStrictEqual(given(s1, a0, b0, a1, evict).when(anew), storedSnapshot(anew))
    const history = given(s1, a0, b0, a1, evict, anew)
    assert.deepStrictEqual(history.when(s2), refused("SnapshotOutdated"))
    assert.deepStrictEqual(given(s1, a0, b0, a1, evict, anew, evict).when(s2), refused("SnapshotOutdated"))
    const restored = snapshotMessage(bob, { docId, parent: anew })
    assert.deepStrictEqual(given(s1, evict, anew, evict).when(restored), storedSnapshot(restored))
    const forgery = resign(bob, anew, { parentSnapshotProof: childProof(s1) })
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

  it("names what leads from the known snapshot to the last, without it", () => {
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

describe("known clocks", () => {
  it("cover a snapshot's updates when no author's are missing", () => {
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

  it("reads as it was decided, also after JSON", () => {
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

  it("is not read when it is damaged", () => {
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

/** What is stored: every message of it must have been accepted. */
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
