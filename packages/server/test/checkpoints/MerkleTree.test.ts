import { createHash } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { consistencyProof, inclusionProof, leafHash, rootOf } from "../../src/checkpoints/MerkleTree.ts"

/** The entries of the reference implementation's tests (certificate-transparency), and the roots of the first 1 to 8 of them. */
const ENTRIES = [
  "",
  "00",
  "10",
  "2021",
  "3031",
  "40414243",
  "5051525354555657",
  "606162636465666768696a6b6c6d6e6f"
].map((hex) => leafHash(Buffer.from(hex, "hex")))
const ROOTS = [
  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
  "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
  "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
  "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
  "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
]

const node = (left: Buffer, right: Buffer) =>
  createHash("sha256").update(Uint8Array.of(1)).update(left).update(right).digest()

/** The verification of RFC 9162, section 2.1.3.2: the root that a leaf and its path lead to. */
const rootFromInclusion = (index: number, size: number, leaf: Buffer, path: ReadonlyArray<Buffer>) => {
  let [fn, sn, hash] = [index, size - 1, leaf]
  for (const step of path) {
    if (sn === 0) return undefined
    if (fn % 2 === 1 || fn === sn) {
      hash = node(step, hash)
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [fn >> 1, sn >> 1]
    } else hash = node(hash, step)
    ;[fn, sn] = [fn >> 1, sn >> 1]
  }
  return sn === 0 ? hash : undefined
}

/** The verification of RFC 9162, section 2.1.4.2: whether the roots of two sizes belong to one tree. */
const isConsistent = (first: number, second: number, before: Buffer, after: Buffer, proof: ReadonlyArray<Buffer>) => {
  if (first === second) return proof.length === 0 && before.equals(after)
  const path = Number.isInteger(Math.log2(first)) ? [before, ...proof] : [...proof]
  let [fn, sn] = [first - 1, second - 1]
  while (fn % 2 === 1) [fn, sn] = [fn >> 1, sn >> 1]
  let [one, two] = [path[0]!, path[0]!]
  for (const step of path.slice(1)) {
    if (sn === 0) return false
    if (fn % 2 === 1 || fn === sn) {
      one = node(step, one)
      two = node(step, two)
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [fn >> 1, sn >> 1]
    } else two = node(two, step)
    ;[fn, sn] = [fn >> 1, sn >> 1]
  }
  return sn === 0 && one.equals(before) && two.equals(after)
}

describe("a Merkle tree", () => {
  it("has the roots of the reference implementation", () => {
    const roots = ENTRIES.map((_, i) => rootOf(ENTRIES.slice(0, i + 1)).toString("hex"))
    assert.deepStrictEqual(roots, ROOTS)
    assert.strictEqual(rootOf([]).toString("hex"), createHash("sha256").digest("hex"))
  })

  it("proves each leaf, and that each larger tree continues each smaller one, for sizes up to 40", () => {
    const leaves = Array.from({ length: 40 }, (_, i) => leafHash(Buffer.from(`entry ${i}`)))
    for (let size = 1; size <= leaves.length; size++) {
      const tree = leaves.slice(0, size)
      const root = rootOf(tree)
      for (let i = 0; i < size; i++) {
        const path = inclusionProof(tree, i)
        assert.deepStrictEqual(rootFromInclusion(i, size, tree[i]!, path), root)
        assert.notDeepEqual(rootFromInclusion(i, size, leafHash(Buffer.from("another")), path), root)
        const smaller = rootOf(tree.slice(0, i + 1))
        const proof = consistencyProof(tree, i + 1)
        assert.isTrue(isConsistent(i + 1, size, smaller, root, proof))
        if (i + 1 < size) assert.isFalse(isConsistent(i + 1, size, leafHash(Buffer.from("another")), root, proof))
      }
    }
  })
})
