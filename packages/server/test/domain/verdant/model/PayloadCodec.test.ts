/** Payloads of a library's events, and what reads them when they are damaged. */
import { assert, describe, it } from "@effect/vitest"
import {
  decodeFolded,
  decodeItems,
  decodeSent,
  PayloadDamaged
} from "../../../../src/domain/verdant/model/PayloadCodec.ts"
import { stamp } from "../decisions.ts"

const operation = { oid: "item/1", timestamp: stamp(1), data: { op: "touch" } }
const bytes = (value: unknown): Uint8Array => Buffer.from(typeof value === "string" ? value : JSON.stringify(value))

const library = { watermark: null, foldedUpTo: 0, replicas: [], files: [], operations: [], baselines: [] }

describe("a damaged payload", () => {
  const damaged: ReadonlyArray<readonly [about: string, payload: unknown]> = [
    ["not JSON", "{"],
    ["empty", ""],
    ["null", null],
    ["without lists", {}],
    ["of a list that is no list", { ...library, operations: { length: 1 } }],
    ["of a malformed operation", { ...library, operations: [{ ...operation, oid: "" }] }],
    ["of a malformed patch", { ...library, operations: [{ ...operation, data: { op: "unknown" } }] }],
    ["of a malformed baseline", { ...library, baselines: [{ oid: "item/1", timestamp: "late", snapshot: {} }] }]
  ]
  for (const [about, payload] of damaged) {
    it(`${about} raises an error that says so`, () => {
      for (const decode of [decodeItems, decodeSent, decodeFolded]) {
        assert.throws(() => decode(bytes(payload)), PayloadDamaged, /^The payload /)
      }
    })
  }

  it("of a compaction whose operation has no place raises an error that says so", () => {
    for (const operations of [[null], [operation], [[1]], [[1, "r", { ...operation, timestamp: 7 }]]]) {
      assert.throws(() => decodeFolded(bytes({ ...library, operations })), PayloadDamaged)
    }
    assert.throws(() => decodeFolded(bytes({ ...library, replicas: null })), PayloadDamaged)
    assert.throws(() => decodeFolded(bytes({ ...library, files: 7 })), PayloadDamaged)
    assert.lengthOf(decodeFolded(bytes({ ...library, operations: [[1, "r", operation]] })).operations, 1)
  })
})
