/** The values that the view of a document is made of. */
import { assert, it } from "@effect/vitest"
import { valueOf } from "../../../../src/domain/verdant/Compaction.ts"
import type { Oid } from "../../../../src/domain/verdant/model/Oid.ts"
import { entityOf } from "../../../../src/domain/verdant/State.ts"
import { given, operation, sync, write } from "../decisions.ts"

it("applies the many operations of an object once for all readers, until it changes", () => {
  const many = Array.from({ length: 100 }, (_, n) => operation(n + 1))
  const initialize = operation(0, { data: { op: "initialize", value: {} } })
  const library = given(sync("writer", 1, { operations: [initialize] }), write("writer", ...many))
  const value = () => valueOf(entityOf(library.state(), "notes/a" as Oid)!)
  assert.deepStrictEqual(value(), { x: 100 })
  assert.strictEqual(value(), value())
  library.when(write("writer", operation(101)))
  assert.deepStrictEqual(value(), { x: 101 })
})
