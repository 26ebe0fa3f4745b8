/** An object that grows without end: what the library accepts it can always read back. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { compact } from "../../../src/domain/verdant/Compaction.ts"
import { decodeOperation } from "../../../src/domain/verdant/model/Operation.ts"
import type { Patch } from "../../../src/domain/verdant/model/Patch.ts"
import { decodeFolded } from "../../../src/domain/verdant/model/PayloadCodec.ts"
import type { OwnedOperation } from "../../../src/domain/verdant/model/StoredItems.ts"
import type { LibraryState } from "../../../src/domain/verdant/State.ts"
import { given, stamp, sync, write } from "./decisions.ts"

const MEGA = 1024 * 1024

const patched = (n: number, data: Patch, oid = "notes/a"): OwnedOperation => ({
  ...Result.getOrThrow(decodeOperation({ oid, timestamp: stamp(n), data })),
  owner: null
})

const set = (n: number, name: string, megas: number): OwnedOperation =>
  patched(n, { op: "set", name, value: "x".repeat(megas * MEGA) })

/** A library with one object, and a replica that may write. */
const library = (value: unknown) => given(sync("writer", 0), write("writer", patched(1, { op: "initialize", value })))

const compacted = (state: LibraryState) => decodeFolded(compact({ ...state, watermark: "zzzz" }, () => true)!.payload)

describe("an object", () => {
  it("that is larger than a client's operation may be is read back after its compaction", () => {
    const { state, when } = library({ a: "x".repeat(2 * MEGA) })
    for (const [i, name] of ["b", "c"].entries()) when(write("writer", set(i + 2, name, 2)))
    assert.isAbove(compacted(state()).baselines[0]!.text.length, 6 * MEGA)
  })
})
