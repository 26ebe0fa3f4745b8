/** The decoding of operations: shape, bounds and the JSON that other clients receive. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import fc from "fast-check"
import { onlyUser } from "../../../../src/domain/verdant/model/Authz.ts"
import {
  decodeOperation,
  MAX_TEXT_LENGTH,
  type Operation,
  operationBy,
  patchOf
} from "../../../../src/domain/verdant/model/Operation.ts"

const valid = { oid: "items/1:1a2b3c4d", timestamp: "0001loyw3v28a00000000abc", data: { op: "touch" } }
const nestedIn = (depth: number): unknown => (depth === 0 ? 1 : { a: nestedIn(depth - 1) })

const decode = (input: unknown): Operation => Result.getOrThrow(decodeOperation(input))

const wrongFieldOf = (input: unknown): string => {
  const result = decodeOperation(input)
  return Result.isFailure(result) ? result.failure.field : "none"
}

describe("Operation", () => {
  it("keeps the client's patch, unknown fields included", () => {
    const data = `{"op":"initialize","value":{"b":1,"a":[1.5,-2e-7,"\\ud83d\\ude00\\u0000\\"",null,{}],"1":true},"later":{"x":1}}`
    const operation = decode(
      JSON.parse(`{"data":${data},"oid":"items/a\\"b","timestamp":"${valid.timestamp}","more":1}`)
    )
    assert.strictEqual(operation.oid, `items/a"b`)
    assert.isUndefined(operation.authz)
    assert.deepStrictEqual(JSON.parse(operation.text), {
      oid: `items/a"b`,
      timestamp: valid.timestamp,
      data: JSON.parse(data)
    })
    assert.include(operation.text, JSON.stringify(JSON.parse(data)))
  })

  it("holds only the text of a patch whose parsed values take much more memory, and reads the same patch", () => {
    const list = (value: unknown, length: number) => Array.from({ length }, () => value)
    for (const [isHeld, value] of [
      [true, { done: false, text: "x".repeat(10_000) }],
      [true, list("some text of a usual length, some text of a usual length", 100)],
      [false, list({}, 100)],
      [false, list(1, 1000)],
      [false, { a: list([[]], 100) }]
    ] as const) {
      const data = { op: "initialize", value } as const
      const operation = decode({ ...valid, data })
      assert.strictEqual(operation.patch !== undefined, isHeld)
      assert.deepStrictEqual(patchOf(operation), data)
    }
  })

  it("has an access field, or none in each way that clients and servers write", () => {
    const authz = onlyUser("anna")
    const { text, ...operation } = decode({ ...valid, authz })
    assert.strictEqual(operation.authz, authz)
    assert.deepStrictEqual(JSON.parse(text), { ...valid, authz })
    for (const authz of [null, undefined, ""]) {
      assert.deepStrictEqual(JSON.parse(decode({ ...valid, authz }).text), valid)
    }
  })

  it("takes the user in place of the placeholder, and keeps any other user", () => {
    const operation = operationBy("anna", decode({ ...valid, authz: onlyUser("$$_originator_$$") }))
    assert.deepStrictEqual(operation, decode({ ...valid, authz: onlyUser("anna") }))
    for (const authz of [undefined, onlyUser("bert")]) {
      const operation = decode({ ...valid, authz })
      assert.strictEqual(operationBy("anna", operation), operation)
    }
  })

  it("names the field that makes an input malformed", () => {
    for (const input of [null, undefined, 1, "operation", true]) assert.strictEqual(wrongFieldOf(input), "item")
    assert.strictEqual(wrongFieldOf([]), "oid")
    assert.strictEqual(wrongFieldOf(JSON.parse(`{"__proto__":${JSON.stringify(valid)}}`)), "oid")
    assert.strictEqual(wrongFieldOf({ ...valid, oid: "items" }), "oid")
    assert.strictEqual(wrongFieldOf({ ...valid, timestamp: 5 }), "timestamp")
    assert.strictEqual(wrongFieldOf({ ...valid, timestamp: "2024-01-01T00:00:00.000Z" }), "timestamp")
    assert.strictEqual(wrongFieldOf({ ...valid, authz: "u:anna:*" }), "authz")
    assert.strictEqual(wrongFieldOf({ ...valid, authz: 0 }), "authz")
    assert.strictEqual(wrongFieldOf({ ...valid, data: { op: "set" } }), "data")
    assert.strictEqual(
      wrongFieldOf({ ...valid, data: JSON.parse(`{"op":"list-push","value":{"__proto__":1}}`) }),
      "data"
    )
    assert.strictEqual(wrongFieldOf({ ...valid, data: JSON.parse(`{"op":"list-push","value":[1e999]}`) }), "data")
  })

  it("is bounded in depth and size, also in unknown fields", () => {
    assert.strictEqual(wrongFieldOf({ ...valid, data: { op: "list-push", value: nestedIn(31) } }), "none")
    assert.strictEqual(wrongFieldOf({ ...valid, data: { op: "list-push", value: nestedIn(32) } }), "data")
    assert.strictEqual(wrongFieldOf({ ...valid, data: { op: "touch", more: nestedIn(32) } }), "data")
    const deep = JSON.parse(`${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}`)
    assert.strictEqual(wrongFieldOf({ ...valid, data: { op: "initialize", value: deep } }), "data")
    const room = MAX_TEXT_LENGTH - decode({ ...valid, data: { op: "set", name: "a", value: "" } }).text.length
    const ofLength = (length: number) => ({ ...valid, data: { op: "set", name: "a", value: "x".repeat(length) } })
    assert.strictEqual(wrongFieldOf(ofLength(room)), "none")
    assert.strictEqual(wrongFieldOf(ofLength(room + 1)), "data")
  })

  it("never throws on parsed JSON, and decodes its own text again to the same operation", () => {
    const field = fc.oneof(
      fc.json().map((text): unknown => JSON.parse(text)),
      fc.constantFrom(...Object.values(valid), { op: "initialize", value: JSON.parse(`{"constructor":{}}`) })
    )
    let accepted = 0
    fc.assert(
      fc.property(fc.oneof(field, fc.record({ oid: field, timestamp: field, data: field, authz: field })), (input) => {
        const first = decodeOperation(input)
        if (Result.isFailure(first)) return
        accepted++
        assert.deepStrictEqual(decode(JSON.parse(first.success.text)), first.success)
      }),
      {
        numRuns: 2000,
        examples: [[valid]]
      }
    )
    assert.isAbove(accepted, 0)
  })
})
