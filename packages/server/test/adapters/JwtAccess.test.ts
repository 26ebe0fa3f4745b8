import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { SignJWT, UnsecuredJWT } from "jose"
import { layerTokens, SecretTooShort } from "../../src/adapters/JwtAccess.ts"
import { DocumentId, LibraryId } from "../../src/domain/Ids.ts"
import { Access, ReplicaType, reachesDocument } from "../../src/ports/Access.ts"

const secret = (letter: string) => Redacted.make(letter.repeat(32))
const libraryId = LibraryId.make("notes")
const documentId = DocumentId.make("welcome")
const tokens = (...secrets: ReadonlyArray<Redacted.Redacted<string>>) => layerTokens(secrets)

/** Signs a token with claims that `mint` would not make. */
const sign = (claims: Record<string, unknown>, key = "a".repeat(32), alg = "HS256") =>
  Effect.promise(() => new SignJWT(claims).setProtectedHeader({ alg }).sign(new TextEncoder().encode(key)))

const refusal = (token: string) =>
  Effect.gen(function* () {
    const access = yield* Access
    return (yield* Effect.flip(access.verify(token))).reason
  }).pipe(Effect.provide(tokens(secret("a"))))

describe("Access by signed tokens", () => {
  it.effect("verifies a token that it minted, and returns its grant", () =>
    Effect.gen(function* () {
      const access = yield* Access
      const request = { userId: "ada", libraryId, documents: [documentId], type: "read-only" as const }
      const grant = yield* access.verify(yield* access.mint(request))
      assert.strictEqual(grant.userId, "ada")
      assert.strictEqual(grant.libraryId, libraryId)
      assert.deepStrictEqual(grant.documents, [documentId])
      assert.isTrue(grant.readOnly)
      assert.strictEqual(grant.expiresAt, 86_400)
      assert.isString(grant.tokenId)
    }).pipe(Effect.provide(tokens(secret("a"))))
  )

  it.effect("accepts tokens of an older secret while secrets are rotated", () =>
    Effect.gen(function* () {
      const old = yield* Effect.provide(
        Effect.flatMap(Access, (access) => access.mint({ userId: "ada", libraryId })),
        tokens(secret("a"))
      )
      const grant = yield* Effect.provide(
        Effect.flatMap(Access, (access) => access.verify(old)),
        tokens(secret("b"), secret("a"))
      )
      assert.strictEqual(grant.userId, "ada")
    })
  )

  it.effect("refuses a token once it has expired", () =>
    Effect.gen(function* () {
      const access = yield* Access
      const token = yield* access.mint({ userId: "ada", libraryId, expiresIn: Duration.hours(1) })
      yield* TestClock.adjust("59 minutes")
      yield* access.verify(token)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Effect.flip(access.verify(token))).reason, "expired")
    }).pipe(Effect.provide(tokens(secret("a"))))
  )

  it.effect("completes when a grant ends, also one that lasts longer than a timer can", () =>
    Effect.gen(function* () {
      const access = yield* Access
      const token = yield* access.mint({ userId: "ada", libraryId, expiresIn: Duration.days(60) })
      const ended = yield* Effect.forkChild(access.ended(yield* access.verify(token)))
      yield* TestClock.adjust("59 days")
      assert.isUndefined(ended.pollUnsafe())
      yield* TestClock.adjust("1 day")
      yield* Fiber.join(ended)
    }).pipe(Effect.provide(tokens(secret("a"))))
  )

  it.effect("refuses a token that was not signed with its own secret", () =>
    Effect.gen(function* () {
      const claims = { sub: "ada", lib: "notes", exp: 1000 }
      assert.strictEqual(yield* refusal(yield* sign(claims, "b".repeat(32))), "signature")
      assert.strictEqual(yield* refusal(new UnsecuredJWT(claims).encode()), "malformed")
      assert.strictEqual(yield* refusal(yield* sign(claims, "a".repeat(64), "HS512")), "malformed")
      assert.strictEqual(yield* refusal("not a token"), "malformed")
      assert.strictEqual(yield* refusal(""), "malformed")
    })
  )

  it.effect("refuses claims that are missing or name no library", () =>
    Effect.gen(function* () {
      for (const claims of [
        { lib: "notes", exp: 1000 },
        { sub: "ada", exp: 1000 },
        { sub: "ada", lib: "notes" },
        { sub: "ada", lib: "@library", exp: 1000 },
        { sub: "ada", lib: "a/b", exp: 1000 },
        { sub: "ada", lib: "notes", exp: 1000, type: 6 },
        { sub: "ada", lib: "notes", exp: 1000, docs: ["@library"] }
      ]) {
        assert.strictEqual(yield* refusal(yield* sign(claims)), "claims", JSON.stringify(claims))
      }
    })
  )

  it.effect("refuses a user id that is empty, too long, not well-formed Unicode or has control characters", () =>
    Effect.gen(function* () {
      for (const sub of ["", "x".repeat(201), "\ud800", "ada\udc00", "ada\n", "\u0000", "\u001b[2J", "\u009b"]) {
        assert.strictEqual(yield* refusal(yield* sign({ sub, lib: "notes", exp: 4_000_000_000 })), "claims")
      }
      const access = yield* Access
      for (const sub of ["ada@example.org", "Zoë 🦭", "a:b/c", "用户", "x".repeat(200)]) {
        const token = yield* sign({ sub, lib: "notes", exp: 4_000_000_000 })
        assert.strictEqual((yield* access.verify(token)).userId, sub)
      }
    }).pipe(Effect.provide(tokens(secret("a"))))
  )

  it.effect("accepts a replica type that is a string", () =>
    Effect.gen(function* () {
      const access = yield* Access
      const token = yield* sign({ sub: "ada", lib: "notes", exp: 1000, type: String(ReplicaType["read-only"]) })
      assert.isTrue((yield* access.verify(token)).readOnly)
    }).pipe(Effect.provide(tokens(secret("a"))))
  )

  it.effect("has no policy: the claims of a token alone say what it allows", () =>
    Effect.gen(function* () {
      const access = yield* Access
      const grant = yield* access.verify(
        yield* access.mint({ userId: "ada", libraryId, documents: [documentId], type: "read-only" })
      )
      assert.isUndefined(access.allows)
      assert.isTrue(grant.readOnly)
      assert.isTrue(reachesDocument(grant, documentId))
      assert.isFalse(reachesDocument(grant, DocumentId.make("another")))
    }).pipe(Effect.provide(tokens(secret("a"))))
  )

  it.effect("refuses a secret that is short enough to guess", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.provide(Effect.asVoid(Access), tokens(Redacted.make("short"))))
      assert.instanceOf(error, SecretTooShort)
    })
  )
})
