/** The claims of a token whose signature is genuine. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { CompactSign, SignJWT } from "jose"
import { type JwtAccessOptions, layer } from "../../../src/adapters/JwtAccess.ts"
import * as Administration from "../../../src/domain/Administration.ts"
import { LibraryId, PublicKey } from "../../../src/domain/Ids.ts"
import { Access, maySignWith } from "../../../src/ports/Access.ts"

const SECRET = "a".repeat(32)
const START = 1_800_000_000

const sign = (claims: Record<string, unknown>) =>
  Effect.promise(() =>
    new SignJWT({ sub: "ada", lib: "notes", exp: START + 3600, ...claims })
      .setProtectedHeader({ alg: "HS256" })
      .sign(new TextEncoder().encode(SECRET))
  )

const withAccess = <A, E>(effect: Effect.Effect<A, E, Access>, options: JwtAccessOptions = {}) =>
  Effect.andThen(
    TestClock.setTime(START * 1000),
    Effect.provide(effect, layer({ secrets: [Redacted.make(SECRET)], ...options }))
  )

const verify = (claims: Record<string, unknown>) =>
  Effect.flatMap(Access, (access) => Effect.flatMap(sign(claims), access.verify))

const refusal = (claims: Record<string, unknown>, options: JwtAccessOptions = {}) =>
  withAccess(Effect.flip(verify(claims)), options)

describe("the claims of a token", () => {
  it.effect("each claim that is missing or malformed is named, with what is wrong with it", () =>
    Effect.gen(function* () {
      for (const [claims, message] of [
        [{ lib: "my notes" }, "The claim lib holds a space."],
        [{ lib: undefined }, "The claim lib is missing."],
        [{ lib: "@library" }, "The claim lib begins with @, which is reserved."],
        [{ lib: "a/b" }, "The claim lib holds a slash."],
        [{ lib: "a\u0000" }, "The claim lib holds a character that cannot be printed."],
        [{ lib: "x".repeat(201) }, "The claim lib is longer than 200 characters."],
        [{ lib: 7, sub: "" }, "The claim sub is empty. The claim lib is not text."],
        [{ sub: undefined }, "The claim sub is missing."],
        [{ sub: "ada\n" }, "The claim sub holds a control character."],
        [{ exp: undefined }, "The claim exp is missing."],
        [{ exp: "tomorrow" }, "The claim exp is not a number of seconds since 1970."],
        [{ type: 6 }, "The claim type is not a replica type, 0 to 5."],
        [{ docs: "welcome" }, "The claim docs is not a list."],
        [{ docs: ["ok", "a?b"] }, "The claim docs has an entry, number 2, that is not the id of a document."],
        [{ docs: Array.from({ length: 1001 }, () => "a") }, "The claim docs has more than 1000 entries."],
        [
          { keys: ["short"] },
          "The claim keys has an entry, number 1, that is not a public key of 43 base64url characters."
        ],
        [{ keys: Array.from({ length: 101 }, () => "k".repeat(43)) }, "The claim keys has more than 100 entries."],
        [{ jti: 5 }, "The claim jti is not text."],
        [{ jti: "a\u0000" }, "The claim jti holds a control character."],
        [{ jti: "\ud800" }, "The claim jti is not well-formed Unicode."],
        [{ iat: "now" }, "The claim iat is not a number of seconds since 1970."]
      ] as const) {
        const refused = yield* refusal(claims)
        assert.deepStrictEqual([refused.reason, refused.message], ["claims", message])
      }
    })
  )

  it.effect("a role that no event could hold is left out of the grant", () =>
    withAccess(
      Effect.gen(function* () {
        for (const role of ["\ud800", "editor\u001b[2J", "x".repeat(201), 7]) {
          assert.isUndefined((yield* verify({ role })).role)
        }
        assert.strictEqual((yield* verify({ role: "éditeur" })).role, "éditeur")
      })
    )
  )

  it.effect("a claim that is too deep to be made a text is named like any other", () =>
    Effect.gen(function* () {
      const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`
      const text = `{"sub":"ada","lib":"notes","exp":${START + 3600},"type":${deep}}`
      const token = yield* Effect.promise(() =>
        new CompactSign(new TextEncoder().encode(text))
          .setProtectedHeader({ alg: "HS256" })
          .sign(new TextEncoder().encode(SECRET))
      )
      const refused = yield* withAccess(Effect.flatMap(Access, (access) => Effect.flip(access.verify(token))))
      assert.strictEqual(refused.message, "The claim type is not a replica type, 0 to 5.")
    })
  )

  it.effect("an exp in milliseconds is recognised", () =>
    Effect.gen(function* () {
      const { message, reason } = yield* refusal({ exp: (START + 3600) * 1000 })
      assert.deepStrictEqual(
        [reason, message],
        ["claims", "The claim exp is in milliseconds; it counts seconds since 1970."]
      )
    })
  )

  it.effect("a token from the future is refused beyond the leeway, by iat and by nbf", () =>
    Effect.gen(function* () {
      for (const claim of ["iat", "nbf"]) {
        const { message, reason } = yield* refusal({ [claim]: START + 6 })
        assert.deepStrictEqual(
          [reason, message],
          ["claims", `The claim ${claim} is in the future: it is 6 s ahead of this server's clock.`]
        )
        yield* withAccess(verify({ [claim]: START + 5 }))
        yield* withAccess(verify({ [claim]: START + 60 }), { leeway: "1 minute" })
        const milliseconds = yield* refusal({ [claim]: START * 1000 })
        assert.include(milliseconds.message, `The claim ${claim} is in milliseconds`)
      }
    })
  )

  it.effect("no token can escape a revocation of its user by an iat in the future", () =>
    Effect.gen(function* () {
      const revoked = Administration.evolve(Administration.initial, {
        _tag: "UserRevoked",
        userId: "ada",
        before: START * 1000
      })
      yield* TestClock.setTime(START * 1000)
      const token = yield* sign({ iat: START + 86_400, exp: START + 90_000 })
      const escapes = Effect.flatMap(Access, (access) => access.verify(token)).pipe(
        Effect.map((grant) => !Administration.isRevoked(revoked, grant)),
        Effect.orElseSucceed(() => false)
      )
      assert.isFalse(yield* withAccess(escapes))
    })
  )

  it.effect("exp has no leeway", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* refusal({ exp: START })).reason, "expired")
      assert.include((yield* refusal({ exp: START - 60 })).message, "expired at 2027-01-15T07:59:00.000Z")
    })
  )

  it.effect("iss and aud are checked once they are set, and mint writes the first of them", () =>
    Effect.gen(function* () {
      const options = { issuer: ["https://one", "https://two"], audience: "sealog" }
      const [iss, aud] = ["https://two", ["other", "sealog"]]
      yield* withAccess(verify({ iss, aud }), options)
      assert.strictEqual((yield* refusal({ aud }, options)).message, "The claim iss is not https://one or https://two.")
      assert.strictEqual((yield* refusal({ iss, aud: "other" }, options)).message, "The claim aud is not sealog.")
      assert.strictEqual((yield* refusal({ iss: [iss], aud: undefined }, options)).reason, "claims")
      const minted = Effect.gen(function* () {
        const access = yield* Access
        return yield* access.verify(yield* access.mint({ userId: "ada", libraryId: LibraryId.make("notes") }))
      })
      yield* withAccess(minted, options)
    })
  )

  it.effect("a token that lasts longer than the largest lifetime is refused, and mint makes none", () =>
    Effect.gen(function* () {
      const options: JwtAccessOptions = { maxLifetime: "1 hour" }
      yield* withAccess(verify({ iat: START, exp: START + 3600 }), options)
      const long = yield* refusal({ iat: START, exp: START + 3601 }, options)
      assert.strictEqual(long.message, "The token lasts 3601 s (exp - iat); this server accepts at most 3600 s.")
      assert.strictEqual((yield* refusal({ exp: START + 3601 }, options)).reason, "claims")
      const minted = Effect.gen(function* () {
        const access = yield* Access
        const request = { userId: "ada", libraryId: LibraryId.make("notes"), expiresIn: Duration.days(1) }
        return yield* access.verify(yield* access.mint(request))
      })
      assert.strictEqual((yield* withAccess(minted, options)).expiresAt, START + 3600)
    })
  )

  it.effect("a token with keys allows messages that are signed with one of them, and no others", () =>
    Effect.gen(function* () {
      const [mine, another] = [PublicKey.make("k".repeat(43)), PublicKey.make("x".repeat(43))]
      yield* withAccess(
        Effect.gen(function* () {
          const access = yield* Access
          const request = { userId: "ada", libraryId: LibraryId.make("notes"), signingKeys: [mine] }
          const grant = yield* access.verify(yield* access.mint(request))
          assert.isTrue(maySignWith(grant, mine))
          assert.isFalse(maySignWith(grant, another))
        })
      )
    })
  )
})
