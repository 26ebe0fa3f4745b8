/**
 * Any interleaving of honest and dishonest clients: the rules accept exactly the requests that the model accepts, and the
 * accepted events keep the invariants that clients rely on.
 */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import fc from "fast-check"
import { SnapshotId } from "../../../src/domain/Ids.ts"
import type { StreamEvent } from "../../../src/domain/Stream.ts"
import * as Secsync from "../../../src/domain/secsync/index.ts"
import * as Model from "./SecsyncModel.ts"
import { docId, plain, reasons, step, World } from "./SecsyncWorld.ts"

describe("the rules of a document, for any interleaving of clients", () => {
  it("accept the requests that the model accepts, and keep the invariants", () => {
    const tally = new Map<string, number>()
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 60, size: "max" }),
        fc.constantFrom(Number.POSITIVE_INFINITY, 3),
        (steps, maxUpdates) => {
          const world = new World(maxUpdates, tally)
          for (const step of steps) world.take(step)
          assertFoldsToLiveState(world)
          assertClocksHaveNoGaps(world)
          assertOneActiveSnapshotOrNone(world)
          assertProofChainsVerify(world)
        }
      ),
      { numRuns: 1000 }
    )
    // The generator reaches every event and every refusal of a client, or the property proves little. It has no quota.
    const refusals = Object.entries(reasons).flatMap(([refusal, broken]) => (broken === undefined ? [] : [refusal]))
    for (const said of [...refusals, "SnapshotStored", "UpdateStored", "Evicted"]) {
      assert.isAbove(tally.get(said) ?? 0, 0, said)
    }
  })

  it("never throw, for any events and any command, even if they were never decoded", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(anyEvent, anyString)), anyCommand, (events, command) => {
        const state = events.reduce(
          (state, [event, payloadHash]) => Secsync.evolve(state, event, payloadHash),
          Secsync.initial(docId)
        )
        const result = Secsync.decide(state, command)
        if (Result.isFailure(result)) return
        Secsync.evolve(state, result.success, "")
        assert.strictEqual(Object.getPrototypeOf({}), Object.prototype)
        if (command._tag === "StoreSnapshot") {
          const { parentSnapshotUpdateClocks } = result.success as Secsync.SnapshotStored
          assert.sameDeepMembers(Object.entries(parentSnapshotUpdateClocks), [...command.parentSnapshotUpdateClocks])
        }
      }),
      { numRuns: 2000 }
    )
  })
})

// ----------------------------------------------------------------------------------------------------- invariants

const refold = (events: ReadonlyArray<StreamEvent>): Secsync.DocumentState =>
  events.reduce(
    (state, event) =>
      // A storage returns events through JSON.
      Secsync.evolve(state, Secsync.fromStreamEvent(JSON.parse(JSON.stringify(event))), event.payloadHash),
    Secsync.initial(docId)
  )

const assertFoldsToLiveState = ({ events, state }: World): void => {
  assert.deepStrictEqual(plain(refold(events)), plain(state), "a fold of all events is the live state")
  const checkpoint = events.findLastIndex((event) => event.checkpoint)
  assert.deepStrictEqual(
    plain(refold(events.slice(Math.max(checkpoint, 0)))),
    plain(state),
    "and of those since the last checkpoint"
  )
}

const assertClocksHaveNoGaps = ({ history, state }: World): void => {
  history.forEach((entry, index) => {
    if (entry._tag !== "Snapshot") return
    const nextByAuthor = new Map<string, number>()
    for (const { author, clock, snapshotId } of Model.updatesSince(history, index)) {
      assert.strictEqual(snapshotId, entry.id)
      assert.strictEqual(clock, nextByAuthor.get(author) ?? 0)
      nextByAuthor.set(author, clock + 1)
    }
  })
  assert.deepStrictEqual({ ...Secsync.lastClocks(state.clocks) }, Model.activeClocks(history))
  assert.strictEqual(state.updates, Model.updatesOfActive(history).length)
}

const assertOneActiveSnapshotOrNone = ({ history, state }: World): void => {
  assert.strictEqual(state.active?.snapshotId, Model.activeSnapshot(history)?.id)
  const evicted = history.at(-1)?._tag === "Eviction" ? Model.snapshots(history).at(-1) : undefined
  assert.strictEqual(state.evicted?.snapshot.snapshotId, evicted?.id)
  const ids = Model.snapshots(history).map(({ id }) => id)
  assert.strictEqual(new Set(ids).size, ids.length, "no id was given twice")
}

/** A client that knows any snapshot can verify the last one, if and only if the last one descends from it. */
const assertProofChainsVerify = ({ history, events }: World): void => {
  const all = Model.snapshots(history)
  const stored = events.map(Secsync.fromStreamEvent).filter((event) => event._tag === "SnapshotStored")
  all.forEach((known, index) => {
    const later = all.slice(index + 1)
    const chain = Secsync.proofChain(SnapshotId.make(known.id), stored.slice(index + 1))
    const startsNewLine = later.some(({ parentId }) => parentId === "")
    assert.strictEqual(chain.length, startsNewLine ? 0 : later.length)
    if (!startsNewLine) {
      later.forEach((snapshot, i) => {
        assert.strictEqual(chain[i]?.snapshotId, snapshot.id)
        assert.strictEqual(chain[i]?.ciphertextHash, Model.hash(snapshot.ciphertext))
        assert.strictEqual(chain[i]?.parentSnapshotProof, Model.proofAfter(later[i - 1] ?? known))
      })
    }
  })
}

// -------------------------------------------------------------------------------------------- undecoded values

// Casts instead of decoding, on purpose: values that skipped the decoder.
const anyString = fc.oneof(
  fc.constantFrom("", "document", "a", "b", "__proto__", "constructor", "prototype", "toString", "hasOwnProperty"),
  fc.string({ unit: "grapheme" })
) as fc.Arbitrary<never>
const anyClock = fc.oneof(fc.integer({ min: -1, max: 2 }), fc.double())
const anyClocks = fc.dictionary(anyString as fc.Arbitrary<string>, anyClock)
const anyProof = fc.record({ snapshotId: anyString, ciphertextHash: anyString, parentSnapshotProof: anyString })

const anyEvent: fc.Arbitrary<Secsync.DocumentEvent> = fc.oneof(
  fc.tuple(anyProof, anyString, anyString, anyClocks).map(([proof, parentSnapshotId, pubKey, clocks]) => ({
    _tag: "SnapshotStored" as const,
    ...proof,
    parentSnapshotId,
    pubKey,
    parentSnapshotUpdateClocks: clocks
  })),
  fc.record({ _tag: fc.constant("UpdateStored"), refSnapshotId: anyString, pubKey: anyString, clock: anyClock }),
  fc.record({ _tag: fc.constant("Evicted"), snapshot: anyProof, clocks: anyClocks })
)

const anyCommand: fc.Arbitrary<Secsync.DocumentCommand> = fc.oneof(
  fc.record({
    _tag: fc.constant("StoreSnapshot"),
    documentId: anyString,
    snapshotId: anyString,
    parentSnapshotId: anyString,
    parentSnapshotProof: fc.oneof(anyString, fc.constant(Model.firstProof() as never)),
    parentSnapshotUpdateClocks: fc.array(fc.tuple(anyString, anyClock)).map((clocks) => new Map(clocks)),
    pubKey: anyString,
    ciphertextHash: anyString,
    payloadHash: anyString,
    used: fc.boolean()
  }),
  fc.record({
    _tag: fc.constant("StoreUpdate"),
    documentId: anyString,
    refSnapshotId: anyString,
    pubKey: anyString,
    clock: anyClock,
    payloadHash: anyString,
    snapshotDueAfter: fc.double()
  }),
  fc.constant({ _tag: "Evict" })
)
