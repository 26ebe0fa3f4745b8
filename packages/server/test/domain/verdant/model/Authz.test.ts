/** The access field: private to one user, or to the user that the placeholder becomes. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import fc from "fast-check"
import {
  Authz,
  isAuthz,
  isFor,
  onlyUser,
  subjectOf,
  withOriginator
} from "../../../../src/domain/verdant/model/Authz.ts"

const base64 = (text: string) => Buffer.from(text).toString("base64")
const original = Authz.make(base64("u:$$_originator_$$:*"))

const userId = fc.oneof(
  fc.string({ minLength: 1, maxLength: 200 }),
  fc.constantFrom("auth0|123", "a:b:c", ":*", "__proto__", "constructor", "é", "日本")
)

describe("Authz", () => {
  it("is private to one user, in the form that clients write", () => {
    fc.assert(
      fc.property(userId, (userId) => {
        const key = onlyUser(userId)
        assert.strictEqual(key, base64(`u:${userId}:*`))
        assert.isTrue(isAuthz(key))
        assert.strictEqual(subjectOf(key), userId)
        assert.isTrue(isFor(key, userId))
        assert.isFalse(isFor(key, `${userId}.`))
        assert.isTrue(isFor(undefined, userId))
      })
    )
  })

  it("is decoded from Latin-1, as browsers write it", () => {
    assert.strictEqual(subjectOf(Authz.make(btoa("u:é:*"))), "é")
  })

  it("takes the user in place of the placeholder, and keeps any other user", () => {
    assert.strictEqual(withOriginator(original, "anna"), onlyUser("anna"))
    assert.strictEqual(withOriginator(onlyUser("bert"), "anna"), onlyUser("bert"))
  })

  it.for([
    "",
    "not base64!",
    "u:anna:*",
    base64("u:anna:*").replace(/=*$/, "?"),
    `${base64("u:anna:*")} `,
    `${base64("u:anna:*")}====`,
    base64("u::*"),
    base64("u:anna"),
    base64("u:anna:r"),
    base64("g:anna:*"),
    base64("anna"),
    base64("u:*"),
    base64(`u:${"a".repeat(1000)}:*`),
    "__proto__",
    null,
    undefined,
    1,
    {},
    [base64("u:anna:*")]
  ])("rejects %j", (value) => {
    assert.isFalse(isAuthz(value))
    assert.isFalse(Schema.is(Authz)(value))
  })

  it("rejects 25 million characters", () => {
    assert.isFalse(isAuthz("A".repeat(25_000_000)))
  })
})
