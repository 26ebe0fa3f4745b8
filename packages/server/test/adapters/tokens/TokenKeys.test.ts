/** The keys of tokens: secrets with names, and key sets in files and at URLs. The HTTP servers are real. */
import { createPublicKey } from "node:crypto"
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Redacted } from "effect"
import { SignJWT, UnsecuredJWT } from "jose"
import { type Issuer, makeIssuer, startJwksServer } from "#test-support/servers/JwksServer"
import { until } from "#test-support/until"
import { generateSigningKey, type JwtAccessOptions, layer, makeVerifier } from "../../../src/adapters/JwtAccess.ts"
import { LibraryId } from "../../../src/domain/Ids.ts"
import { Access } from "../../../src/ports/Access.ts"
import { parseTokenSecrets } from "../../../src/ports/TokenSecret.ts"

const secretOf = (letter: string) => letter.repeat(32)
const claims = () => ({ sub: "ada", lib: "notes", exp: Math.floor(Date.now() / 1000) + 3600 })

const signWithSecret = (secret: string, kid?: string) =>
  Effect.promise(() =>
    new SignJWT(claims())
      .setProtectedHeader({ alg: "HS256", ...(kid === undefined ? {} : { kid }) })
      .sign(new TextEncoder().encode(secret))
  )

/** "valid", or the reason of the refusal. */
const verdictOf = (token: string) =>
  Effect.flatMap(Access, (access) => access.verify(token)).pipe(
    Effect.match({ onFailure: ({ reason }) => reason as string, onSuccess: () => "valid" })
  )

const withAccess = <A, E, R>(options: JwtAccessOptions, effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Layer.build(layer(options)), (services) => Effect.provide(effect, services))

const failureOf = (options: JwtAccessOptions) => Effect.flip(Effect.asVoid(Layer.build(layer(options))))

const keySetOf = (...issuers: ReadonlyArray<Issuer>) => ({ keys: issuers.map(({ publicJwk }) => publicJwk) })

/** A file that holds the issuers' public keys, and a function that replaces it. */
const keySetFile = (...issuers: ReadonlyArray<Issuer>) => {
  const path = join(mkdtempSync(join(tmpdir(), "sealog-keys-")), "jwks.json")
  const write = (text: string) => {
    writeFileSync(`${path}.new`, text)
    renameSync(`${path}.new`, path)
  }
  write(JSON.stringify(keySetOf(...issuers)))
  return { path, write, publish: (...next: ReadonlyArray<Issuer>) => write(JSON.stringify(keySetOf(...next))) }
}

describe("secrets", () => {
  it.live("kid picks the secret; a token without kid is tried with each; another kid names a nameless secret", () =>
    Effect.gen(function* () {
      const text = `kid=new:${secretOf("n")}, kid=old:${secretOf("o")},${secretOf("x")}`
      const secrets = yield* Effect.fromResult(parseTokenSecrets(text))
      yield* withAccess(
        { secrets },
        Effect.gen(function* () {
          for (const [secret, kid, expected] of [
            ["n", "new", "valid"],
            ["o", "old", "valid"],
            ["o", undefined, "valid"],
            ["x", undefined, "valid"],
            ["x", "of another system", "valid"],
            ["o", "new", "signature"],
            ["n", "of another system", "signature"],
            ["z", undefined, "signature"]
          ] as const) {
            const token = yield* signWithSecret(secretOf(secret), kid)
            assert.strictEqual(yield* verdictOf(token), expected, `${secret} ${kid}`)
          }
          const minted = yield* (yield* Access).mint({ userId: "ada", libraryId: LibraryId.make("notes") })
          const header = JSON.parse(Buffer.from(minted.split(".")[0] ?? "", "base64url").toString())
          assert.deepStrictEqual(header, { alg: "HS256", kid: "new" })
          assert.strictEqual(yield* verdictOf(minted), "valid")
        })
      )
    })
  )

  it.live("more than eight secrets, two of one name, none, or a malformed name are refused at the start", () =>
    Effect.gen(function* () {
      const secrets = Array.from({ length: 9 }, (_, i) => Redacted.make(secretOf(String(i))))
      const many = yield* failureOf({ secrets })
      assert.include(many.message, "There are 9 token secrets.")
      const twin = { kid: "one", secret: Redacted.make(secretOf("a")) }
      assert.include((yield* failureOf({ secrets: [twin, twin] })).message, "same name")
      assert.include((yield* failureOf({})).message, "no key")
      for (const text of ["", " , ", "kid=:aaaa", "kid=a b:cccc", `kid=${secretOf("a")}`]) {
        assert.strictEqual(parseTokenSecrets(text)._tag, "Failure", text)
      }
    })
  )
})

describe("public keys", () => {
  it.live.each(["EdDSA", "ES256", "RS256"] as const)("a token by %s is verified with the key of its kid", (alg) =>
    Effect.gen(function* () {
      const [issuer, other] = [makeIssuer("a", alg), makeIssuer("a", alg)]
      const nameless = makeIssuer(undefined, alg)
      yield* withAccess(
        { jwks: keySetOf(makeIssuer("b", alg), issuer, nameless) },
        Effect.gen(function* () {
          assert.strictEqual(yield* verdictOf(issuer.sign()), "valid")
          assert.strictEqual(yield* verdictOf(nameless.sign()), "valid")
          assert.strictEqual(yield* verdictOf(other.sign()), "signature")
          assert.strictEqual(yield* verdictOf(issuer.sign({ lib: "my notes" })), "claims")
        })
      )
    })
  )

  it.live("a public key is never a secret, and an unsigned token is never verified", () =>
    Effect.gen(function* () {
      const rsa = makeIssuer("a", "RS256")
      const ed = makeIssuer("b", "EdDSA")
      const spki = createPublicKey({ key: rsa.publicJwk, format: "jwk" }).export({ format: "pem", type: "spki" })
      const texts = [
        String(spki),
        JSON.stringify(rsa.publicJwk),
        String(rsa.publicJwk.n),
        String(ed.publicJwk.x).padEnd(43)
      ]
      const secrets = [Redacted.make(secretOf("s"))]
      for (const options of [{ jwks: keySetOf(rsa, ed) }, { jwks: keySetOf(rsa, ed), secrets }]) {
        yield* withAccess(
          options,
          Effect.gen(function* () {
            for (const text of texts) {
              for (const kid of [undefined, "a", "b"]) {
                assert.notStrictEqual(yield* verdictOf(yield* signWithSecret(text, kid)), "valid")
              }
            }
            const unsigned = new UnsecuredJWT(claims()).encode()
            assert.strictEqual(yield* verdictOf(unsigned), "malformed")
            assert.strictEqual(yield* verdictOf(yield* signWithSecret(secretOf("s"), "k".repeat(10_000))), "malformed")
            const [, payload] = rsa.sign().split(".")
            for (const alg of ["none", "None", "nOnE"]) {
              const header = Buffer.from(JSON.stringify({ alg, kid: "a" })).toString("base64url")
              assert.strictEqual(yield* verdictOf(`${header}.${payload}.`), "malformed")
            }
            // The key of "a" is for RS256: no other algorithm may use it.
            const [, , signature] = rsa.sign().split(".")
            const header = Buffer.from(JSON.stringify({ alg: "EdDSA", kid: "a" })).toString("base64url")
            assert.strictEqual(yield* verdictOf(`${header}.${payload}.${signature}`), "signature")
          })
        )
      }
    })
  )

  it.live("the server signs with a private key, and verifies its own tokens", () =>
    Effect.gen(function* () {
      const signingKey = yield* generateSigningKey("ES256", "mine")
      const issuer = makeIssuer("theirs")
      yield* withAccess(
        { signingKey, jwks: keySetOf(issuer) },
        Effect.gen(function* () {
          const token = yield* (yield* Access).mint({ userId: "ada", libraryId: LibraryId.make("notes") })
          assert.strictEqual(yield* verdictOf(token), "valid")
          assert.strictEqual(yield* verdictOf(issuer.sign()), "valid")
        })
      )
      for (const text of ["no json", "{}", JSON.stringify(issuer.publicJwk)]) {
        const refused = yield* failureOf({ signingKey: Redacted.make(text) })
        assert.include(refused.message, "rivate key")
        assert.notInclude(refused.message, text === "{}" ? "{}" : text.slice(0, 8))
      }
    })
  )

  it.live("a key set without a usable key, with a secret, a private key or too many keys is refused at the start", () =>
    Effect.gen(function* () {
      const issuer = makeIssuer("a")
      const weak = { kty: "RSA", n: "x".repeat(171), e: "AQAB" }
      for (const [text, message] of [
        ["[]", "holds no key set"],
        ["no json", "holds no key set"],
        ['{"keys":[]}', "no key that can verify"],
        [
          JSON.stringify({ keys: [weak, { ...issuer.publicJwk, use: "enc" }, { kty: "EC", crv: "P-384" }] }),
          "no key that"
        ],
        [JSON.stringify({ keys: [{ kty: "oct", k: "c2VjcmV0" }] }), "holds a secret"],
        [JSON.stringify({ keys: [issuer.privateJwk] }), "holds a private key"],
        [JSON.stringify({ keys: Array.from({ length: 101 }, () => issuer.publicJwk) }), "holds 101 keys"]
      ] as const) {
        const file = keySetFile()
        file.write(text)
        const refused = yield* failureOf({ jwks: file.path })
        assert.deepStrictEqual(
          [refused._tag, refused.message.includes(message)],
          ["TokenKeysError", true],
          refused.message
        )
        assert.notInclude(refused.message, "c2VjcmV0")
        assert.notInclude(refused.message, String(issuer.privateJwk.d))
      }
      const missing = yield* failureOf({ jwks: "/no/such/file.json" })
      assert.include(missing.message, "/no/such/file.json could not be loaded: ENOENT")
      for (const jwks of [
        "https://ada:pass-word@localhost/keys",
        "https://",
        "http://127.0.0.1:1/keys?token=pass-word"
      ]) {
        assert.notInclude((yield* failureOf({ jwks })).message, "pass-word")
      }
    })
  )
})

describe("a key set in a file", () => {
  it.live(
    "a changed file is read again: new keys verify, removed keys do not; a damaged or missing file changes nothing",
    () =>
      Effect.gen(function* () {
        const [a, b] = [makeIssuer("a"), makeIssuer("b")]
        const file = keySetFile(a)
        yield* withAccess(
          { jwks: file.path },
          Effect.gen(function* () {
            assert.strictEqual(yield* verdictOf(a.sign()), "valid")
            file.publish(b)
            assert.strictEqual(yield* verdictOf(b.sign()), "valid")
            assert.strictEqual(yield* verdictOf(a.sign()), "signature")
            file.write('{"keys":[')
            assert.strictEqual(yield* verdictOf(a.sign()), "unavailable")
            assert.strictEqual(yield* verdictOf(b.sign()), "valid")
            rmSync(file.path)
            assert.strictEqual(yield* verdictOf(b.sign()), "valid")
            file.publish(a)
            const token = a.sign()
            yield* until(
              "the key of the new file verifies",
              Effect.map(verdictOf(token), (verdict) => verdict === "valid")
            )
          })
        )
      })
  )
})

describe("a key set at a URL", () => {
  it.live("an unknown kid loads the set at once, and a flood of unknown kids at most once a second", () =>
    Effect.gen(function* () {
      const [a, b, stranger] = [makeIssuer("a"), makeIssuer("b"), makeIssuer("stranger")]
      const server = yield* startJwksServer(a)
      yield* withAccess(
        { jwks: server.url },
        Effect.gen(function* () {
          assert.strictEqual(server.requests(), 1)
          for (let i = 0; i < 20; i++) assert.strictEqual(yield* verdictOf(a.sign()), "valid")
          assert.strictEqual(server.requests(), 1)
          server.publish(a, b)
          const token = b.sign()
          const verdicts = yield* Effect.all(
            Array.from({ length: 50 }, () => verdictOf(token)),
            { concurrency: "unbounded" }
          )
          assert.deepStrictEqual(new Set(verdicts), new Set(["valid"]))
          assert.strictEqual(server.requests(), 2)
          const forged = stranger.sign()
          const start = Date.now()
          const flood = yield* Effect.all(
            Array.from({ length: 200 }, () => Effect.andThen(verdictOf(forged), verdictOf(forged))),
            { concurrency: "unbounded" }
          )
          assert.deepStrictEqual(new Set(flood), new Set(["signature"]))
          assert.isAtMost(server.requests() - 2, 1 + (Date.now() - start) / 1000)
        })
      )
    })
  )

  it.live("through an outage the keys it has verify, and a token of an unknown key is asked to come back", () =>
    Effect.gen(function* () {
      const [a, b] = [makeIssuer("a"), makeIssuer("b")]
      const server = yield* startJwksServer(a)
      yield* withAccess(
        { jwks: server.url, jwksOptions: { refreshCooldown: "10 millis", loadTimeout: "200 millis" } },
        Effect.gen(function* () {
          const token = b.sign()
          const answers = [
            { status: 503, body: "" },
            { status: 302, body: "" },
            { body: "<html>" },
            { body: `{"keys":[],"padding":"${"x".repeat(300_000)}"}` },
            "silence"
          ] as const
          for (const answer of answers) {
            server.answer(answer)
            assert.strictEqual(yield* verdictOf(token), "unavailable", JSON.stringify(answer).slice(0, 40))
            assert.strictEqual(yield* verdictOf(a.sign()), "valid")
          }
          yield* server.stop
          assert.strictEqual(yield* verdictOf(token), "unavailable")
          assert.strictEqual(yield* verdictOf(a.sign()), "valid")
          yield* server.start
          server.publish(a, b)
          assert.strictEqual(yield* verdictOf(token), "valid")
        })
      )
    })
  )

  it.live("after the time of an outage its keys verify nothing, until the set is loaded again", () =>
    Effect.gen(function* () {
      const a = makeIssuer("a")
      const server = yield* startJwksServer(a)
      yield* withAccess(
        {
          jwks: server.url,
          jwksOptions: { outage: "300 millis", refreshInterval: "50 millis", refreshCooldown: "10 millis" }
        },
        Effect.gen(function* () {
          server.answer({ status: 503 })
          const token = a.sign()
          const becomes = (verdict: string) =>
            until(
              verdict,
              Effect.map(verdictOf(token), (is) => is === verdict)
            )
          yield* becomes("unavailable")
          server.publish(a)
          yield* becomes("valid")
        })
      )
    })
  )

  it.live("a key that the set no longer holds verifies nothing after the next load", () =>
    Effect.gen(function* () {
      const [a, b] = [makeIssuer("a"), makeIssuer("b")]
      const server = yield* startJwksServer(a, b)
      yield* withAccess(
        { jwks: server.url, jwksOptions: { refreshInterval: "50 millis", refreshCooldown: "10 millis" } },
        Effect.gen(function* () {
          const token = a.sign()
          assert.strictEqual(yield* verdictOf(token), "valid")
          server.publish(b)
          yield* until(
            "the key is gone",
            Effect.map(verdictOf(token), (verdict) => verdict === "signature")
          )
        })
      )
    })
  )

  it.live("a server does not start while its key set cannot be loaded", () =>
    Effect.gen(function* () {
      const server = yield* startJwksServer()
      server.answer({ status: 500 })
      const refused = yield* failureOf({ jwks: server.url })
      assert.include(refused.message, `${server.url} could not be loaded: it answered 500`)
      assert.deepInclude(refused, { _tag: "TokenKeysError", reason: "unavailable" })
    })
  )
})

it.live("an operator sees the keys and which of them signed a token, never the secrets", () =>
  Effect.gen(function* () {
    const issuer = makeIssuer("a")
    const secrets = [Redacted.make(secretOf("x")), { kid: "old", secret: Redacted.make(secretOf("o")) }]
    const { identify, keys } = yield* makeVerifier({ secrets, jwks: keySetOf(issuer) })
    const expected = [
      { alg: "HS256", kid: null, source: "secret", position: 1 },
      { alg: "HS256", kid: "old", source: "secret", position: 2 },
      { alg: "EdDSA", kid: "a", source: "jwks", position: 1 }
    ]
    assert.deepStrictEqual(yield* keys, expected as never)
    assert.deepStrictEqual((yield* identify(issuer.sign())).key, expected[2] as never)
    assert.deepStrictEqual((yield* identify(yield* signWithSecret(secretOf("o")))).key, expected[1] as never)
    assert.isTrue(Exit.isFailure(yield* Effect.exit(identify(yield* signWithSecret(secretOf("z"))))))
  })
)
