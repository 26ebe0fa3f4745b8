import { assert, it } from "@effect/vitest"
import { errorText } from "../../src/domain/errorText.ts"

it("the text of anything that was thrown is there, also of an object that `String` cannot turn into one", () => {
  const circular: { self?: unknown } = {}
  circular.self = circular
  assert.strictEqual(errorText(new Error("the disk is full")), "the disk is full")
  assert.strictEqual(errorText("the disk is full"), "the disk is full")
  for (const thrown of [Object.create(null), circular, Symbol("x"), undefined, { toString: () => assert.fail() }]) {
    assert.isNotEmpty(errorText(thrown))
  }
})
