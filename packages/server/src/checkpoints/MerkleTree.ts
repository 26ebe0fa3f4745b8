/**
 * A Merkle tree of entries that are only added, by RFC 6962, section 2.1, with SHA-256. The tree of a larger size holds the
 * tree of every smaller size, which a consistency proof shows without the entries.
 */
import { createHash } from "node:crypto"

const sha256 = (...parts: ReadonlyArray<Uint8Array>): Buffer => {
  const hash = createHash("sha256")
  for (const part of parts) hash.update(part)
  return hash.digest()
}

const LEAF = Uint8Array.of(0)
const NODE = Uint8Array.of(1)

export const leafHash = (entry: Uint8Array): Buffer => sha256(LEAF, entry)
const nodeHash = (left: Uint8Array, right: Uint8Array): Buffer => sha256(NODE, left, right)

/** The largest power of two that is smaller than `size`, which is at least 2. */
const split = (size: number): number => 2 ** (Math.ceil(Math.log2(size)) - 1)

/** The root of the leaves from `from` to before `to`. */
const subroot = (leaves: ReadonlyArray<Buffer>, from: number, to: number): Buffer => {
  const size = to - from
  if (size === 0) return sha256()
  if (size === 1) return leaves[from]!
  const middle = from + split(size)
  return nodeHash(subroot(leaves, from, middle), subroot(leaves, middle, to))
}

/** The root hash of a tree, given its leaf hashes. */
export const rootOf = (leaves: ReadonlyArray<Buffer>): Buffer => subroot(leaves, 0, leaves.length)

/** The audit path (section 2.1.1) that proves a leaf to a holder of the root: hashes from the leaf upwards. */
export const inclusionProof = (leaves: ReadonlyArray<Buffer>, index: number): ReadonlyArray<Buffer> => {
  const path = (from: number, to: number): Array<Buffer> => {
    if (to - from === 1) return []
    const middle = from + split(to - from)
    return index < middle
      ? [...path(from, middle), subroot(leaves, middle, to)]
      : [...path(middle, to), subroot(leaves, from, middle)]
  }
  return path(0, leaves.length)
}

/** The proof (section 2.1.2) that a tree continues the one of its first `size` leaves, where 0 < `size` ≤ the number of leaves. */
export const consistencyProof = (leaves: ReadonlyArray<Buffer>, size: number): ReadonlyArray<Buffer> => {
  const path = (from: number, to: number, isComplete: boolean): Array<Buffer> => {
    if (size === to) return isComplete ? [] : [subroot(leaves, from, to)]
    const middle = from + split(to - from)
    return size <= middle
      ? [...path(from, middle, isComplete), subroot(leaves, middle, to)]
      : [...path(middle, to, false), subroot(leaves, from, middle)]
  }
  return path(0, leaves.length, true)
}
