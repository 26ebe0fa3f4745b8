/** Parent proofs: the hash chain by which a client verifies that snapshots descend from each other. */
import { blake2b256 } from "../Blake2b.ts"
import { canonicalJson } from "../CanonicalJson.ts"
import type { Hash, SnapshotId } from "../Ids.ts"
import type { StreamEvent } from "../Stream.ts"
import { fromStreamEvent, type SnapshotProof } from "./Events.ts"

export const proofOf = ({ snapshotId, ciphertextHash, parentSnapshotProof }: SnapshotProof): SnapshotProof => ({
  snapshotId,
  ciphertextHash,
  parentSnapshotProof
})

/**
 * The `parentSnapshotProof` that a child of `parent` must carry; without a parent, the one of a first snapshot.
 * It binds the parent's id, its ciphertext and, through its own proof, all that came before.
 */
export const nextProof = (parent: SnapshotProof | undefined): Hash =>
  blake2b256(
    canonicalJson({
      grandParentSnapshotProof: parent?.parentSnapshotProof ?? "",
      parentSnapshotId: parent?.snapshotId ?? "",
      parentSnapshotCiphertextHash: parent?.ciphertextHash ?? ""
    })
  )

/** A snapshot as the log remembers it, also when its payload is gone. */
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
 * The snapshots by which a client that knows `known` can verify the last of `ancestors` (every snapshot stored after
 * `known`, oldest first). Empty when the line is broken: a document begun anew after an eviction does not descend
 * from what was evicted.
 */
export const proofChain = (known: SnapshotId, ancestors: ReadonlyArray<Ancestor>): ReadonlyArray<SnapshotProof> => {
  const unbroken = ancestors.every(
    (snapshot, i) => snapshot.parentSnapshotId === (i === 0 ? known : ancestors[i - 1]?.snapshotId)
  )
  return unbroken ? ancestors.map(proofOf) : []
}

/** Whether clocks known to a client cover every update of a snapshot. */
export const covers = (known: ReadonlyMap<string, number>, clocks: Readonly<Record<string, number>>): boolean =>
  Object.entries(clocks).every(([key, clock]) => (known.get(key) ?? -1) >= clock)
