/** Parent proofs: the hash chain by which a client verifies that snapshots descend from each other. */
import { blake2b256 } from "../Blake2b.ts"
import { canonicalJson } from "../CanonicalJson.ts"
import type { Hash, SnapshotId } from "../Ids.ts"
import type { StreamEvent } from "../Stream.ts"
import { fromStreamEvent, type SnapshotProof } from "./Events.ts"

/** The proof fields of a snapshot, without its other fields. */
export const proofOf = ({ snapshotId, ciphertextHash, parentSnapshotProof }: SnapshotProof): SnapshotProof => ({
  snapshotId,
  ciphertextHash,
  parentSnapshotProof
})

/**
 * The `parentSnapshotProof` that a child of `parent` must carry; for undefined, the one of a first snapshot. It covers the
 * parent's id, its ciphertext and, through the parent's own proof, every ancestor.
 */
export const nextProof = (parent: SnapshotProof | undefined): Hash =>
  blake2b256(
    canonicalJson({
      grandParentSnapshotProof: parent?.parentSnapshotProof ?? "",
      parentSnapshotId: parent?.snapshotId ?? "",
      parentSnapshotCiphertextHash: parent?.ciphertextHash ?? ""
    })
  )

/** A snapshot as its event holds it, even after its payload is purged. */
export interface Ancestor extends SnapshotProof {
  readonly parentSnapshotId: SnapshotId | ""
}

/** The snapshots among a stream's events. */
export const ancestorsOf = (events: ReadonlyArray<StreamEvent>): ReadonlyArray<Ancestor> =>
  events.flatMap((stored) => {
    const event = fromStreamEvent(stored)
    return event._tag === "SnapshotStored" ? { ...proofOf(event), parentSnapshotId: event.parentSnapshotId } : []
  })

/**
 * The proofs by which a client that has the snapshot `known` verifies the last of `ancestors`. `ancestors`: every snapshot
 * stored after `known`, oldest first. Empty when the line is broken: a document that a client started again after an
 * eviction does not descend from the evicted snapshot.
 */
export const proofChain = (known: SnapshotId, ancestors: ReadonlyArray<Ancestor>): ReadonlyArray<SnapshotProof> => {
  const unbroken = ancestors.every(
    (snapshot, i) => snapshot.parentSnapshotId === (i === 0 ? known : ancestors[i - 1]?.snapshotId)
  )
  return unbroken ? ancestors.map(proofOf) : []
}

/** True when the clocks that a client knows cover every update in `clocks`. */
export const covers = (known: ReadonlyMap<string, number>, clocks: Readonly<Record<string, number>>): boolean =>
  Object.entries(clocks).every(([key, clock]) => (known.get(key) ?? -1) >= clock)
