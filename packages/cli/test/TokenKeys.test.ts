/** Keys of tokens, with real processes: key pairs, key sets in files and at URLs, and their rotation under load. */
import { readFileSync, renameSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { ephemeralMessage, makeAuthor, snapshotMessage } from "@sealog/server/testing"
import { Effect } from "effect"
import { assert, describe, it } from "vitest"
import { connectRaw } from "#test-support/clients/RawSecsync"
import { makeIssuer, startJwksServer } from "#test-support/servers/JwksServer"
import { until } from "#test-support/until"
import { errorOf, freshFolder, jsonOf, run, secret, serve } from "./support.ts"

const mint = ["token", "mint", "--library", "notes", "--user", "ada"]
const noSecret = { TOKEN_SECRET: undefined }

/** The status of an empty request of a Verdant client with this token. */
const statusOf = async (port: number, token: string): Promise<number> => {
  const response = await fetch(`http://127.0.0.1:${port}/verdant`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: '{"messages":[]}'
  })
  await response.arrayBuffer()
  return response.status
}

/** Publishes the public keys of these files, as the help of `token keys jwks` says. */
const publish = async (cwd: string, ...files: ReadonlyArray<string>) => {
  const { stdout } = await run(["token", "keys", "jwks", ...files], { cwd })
  writeFileSync(join(cwd, "jwks.json.new"), stdout)
  renameSync(join(cwd, "jwks.json.new"), join(cwd, "jwks.json"))
}

describe("token keys", () => {
  it("make writes a private key that only its owner reads, and overwrites none", async () => {
    const cwd = freshFolder()
    for (const alg of ["EdDSA", "ES256", "RS256"]) {
      const file = `${alg}.json`
      const made = await run(["token", "keys", "make", file, "--alg", alg, "--json"], { cwd })
      assert.deepInclude(jsonOf("token-keys-make", made), { file, alg })
      assert.strictEqual(statSync(join(cwd, file)).mode & 0o777, 0o600)
      const { d } = JSON.parse(readFileSync(join(cwd, file), "utf8"))
      const before = readFileSync(join(cwd, file), "utf8")
      const again = await run(["token", "keys", "make", file, "--json"], { cwd })
      assert.deepStrictEqual([again.code, errorOf(again).code], [1, "KEY_FILE_EXISTS"])
      assert.strictEqual(readFileSync(join(cwd, file), "utf8"), before)
      for (const command of ["jwks", "list"]) {
        const ran = await run(["token", "keys", command, file, "--json"], { cwd })
        jsonOf(`token-keys-${command}`, ran)
        assert.notInclude(ran.stdout, d)
      }
      await publish(cwd, file)
      const token = (await run([...mint, "--sign-with", file], { cwd, env: noSecret })).stdout
      const env = { ...noSecret, TOKEN_JWKS: "jwks.json" }
      const inspected = jsonOf("token-inspect", await run(["token", "inspect", "--json"], { cwd, stdin: token, env }))
      assert.deepInclude(inspected, { valid: true })
      assert.deepInclude(inspected["key"], { alg, source: "jwks", position: 1 })
    }
    const wrong = await run(["token", "keys", "make", "x.json", "--kid", "a b", "--json"], { cwd })
    assert.deepStrictEqual([wrong.code, errorOf(wrong).code], [2, "NAME_INVALID"])
    writeFileSync(join(cwd, "text"), '{"d":"private-part",')
    const damaged = await run(["token", "keys", "jwks", "text", "--json"], { cwd })
    assert.deepStrictEqual([damaged.code, errorOf(damaged).code], [2, "KEY_FILE_INVALID"])
    assert.notInclude(damaged.stdout + damaged.stderr, "private-part")
  })

  it("list shows the keys of the settings without any secret, and inspect says which key and why not", async () => {
    const cwd = freshFolder()
    await run(["token", "keys", "make", "key.json", "--kid", "2026-11"], { cwd })
    await publish(cwd, "key.json")
    const env = { TOKEN_SECRET: `kid=old:${secret}`, TOKEN_JWKS: "jwks.json", TOKEN_ISSUER: "https://a, https://b" }
    const listed = await run(["token", "keys", "list", "--json"], { cwd, env })
    assert.deepStrictEqual(jsonOf("token-keys-list", listed)["keys"], [
      { kid: "old", alg: "HS256", file: null, kind: "secret" },
      { kid: "2026-11", alg: "EdDSA", file: null, kind: "public" }
    ])
    assert.notInclude(listed.stdout, secret)
    const inspect = async (token: string) => run(["token", "inspect"], { cwd, env, stdin: token })
    assert.include(
      (await inspect((await run(mint, { cwd, env })).stdout)).stdout,
      "signed with secret 1, named old (HS256)\nvalid"
    )
    const noIssuer = (await run([...mint, "--sign-with", "key.json"], { cwd })).stdout
    const { code, stdout } = await inspect(noIssuer)
    assert.strictEqual(code, 1)
    assert.include(
      stdout,
      "signed with the public key 2026-11 (EdDSA)\nrefused: The claim iss is not https://a or https://b."
    )
    const stranger = makeIssuer("stranger").sign()
    assert.include((await inspect(stranger)).stdout, 'no EdDSA key with the name (kid) "stranger"')
    const long = await run([...mint, "--token-max-lifetime", "1h", "--json"], { cwd })
    assert.deepStrictEqual([long.code, errorOf(long).code], [2, "TOKEN_TOO_LONG"])
  })
})

describe("serve with keys", () => {
  it("refuses settings that cannot work, says why and what to try, and shows no secret", async () => {
    const cwd = freshFolder()
    writeFileSync(join(cwd, "secret.json"), JSON.stringify({ keys: [{ kty: "oct", k: "hidden-part" }] }))
    for (const [env, code] of [
      [{ ...noSecret, TOKEN_JWKS: "missing.json" }, "TOKEN_KEYS_UNAVAILABLE"],
      [{ ...noSecret, TOKEN_JWKS: "http://127.0.0.1:1/jwks?key=hidden-part" }, "TOKEN_KEYS_UNAVAILABLE"],
      [{ ...noSecret, TOKEN_JWKS: "secret.json" }, "TOKEN_KEYS_INVALID"],
      [{ TOKEN_SECRET: `kid=a:${secret},kid=a:${secret}` }, "TOKEN_KEYS_INVALID"],
      [{ TOKEN_SECRET: "kid=hidden-part" }, "TOKEN_KEYS_INVALID"],
      [{ LINK_SECRET: "hidden-part" }, "SECRET_TOO_SHORT"],
      [{ TOKEN_LEEWAY: "soon" }, "DURATION_INVALID"]
    ] as const) {
      const ran = await run(["serve", "--port", "0", "--json"], { cwd, env })
      assert.strictEqual(errorOf(ran).code, code)
      assert.isString(errorOf(ran).try)
      assert.notInclude(ran.stdout + ran.stderr, "hidden-part")
      assert.notInclude(ran.stdout + ran.stderr, secret)
    }
  })

  it("with public keys in a file alone, a rotation by hand refuses no valid token and needs no restart", async () => {
    const cwd = freshFolder()
    const env = { ...noSecret, TOKEN_JWKS: "jwks.json" }
    await run(["token", "keys", "make", "one.json"], { cwd })
    await run(["token", "keys", "make", "two.json"], { cwd })
    await publish(cwd, "one.json")
    const server = await serve([], { cwd, env })
    const tokenOf = async (file: string) => (await run([...mint, "--sign-with", file], { cwd })).stdout.trim()
    const [one, two] = [await tokenOf("one.json"), await tokenOf("two.json")]
    assert.deepStrictEqual([await statusOf(server.port, one), await statusOf(server.port, two)], [200, 401])
    await publish(cwd, "two.json", "one.json")
    assert.deepStrictEqual([await statusOf(server.port, one), await statusOf(server.port, two)], [200, 200])
    await publish(cwd, "two.json")
    await Effect.runPromise(
      until(
        "the removed key verifies nothing",
        Effect.map(
          Effect.promise(() => statusOf(server.port, one)),
          (status) => status === 401
        )
      )
    )
    assert.strictEqual(await statusOf(server.port, two), 200)
    const { stderr } = await server.stop("SIGTERM")
    assert.include(stderr, "Files are not served: set LINK_SECRET")
  })

  it("clients that connect all the time while the key set rotates are never refused", async () => {
    const cwd = freshFolder()
    const test = Effect.gen(function* () {
      let issuers = [makeIssuer("key-0")]
      const jwks = yield* startJwksServer(...issuers)
      const env = { ...noSecret, TOKEN_JWKS: jwks.url }
      const server = yield* Effect.acquireRelease(
        Effect.promise(() => serve([], { cwd, env })),
        (served) => Effect.promise(() => served.stop("SIGTERM"))
      )
      let isRotating = true
      let [polls, sockets] = [0, 0]
      const statuses = new Set<number>()
      const poll = Effect.gen(function* () {
        while (isRotating) {
          const token = (issuers[0] ?? makeIssuer("none")).sign()
          statuses.add(yield* Effect.promise(() => statusOf(server.port, token)))
          polls += 1
        }
      })
      const first = new Set<unknown>()
      const connect = Effect.gen(function* () {
        while (isRotating) {
          const token = (issuers[0] ?? makeIssuer("none")).sign()
          const options = { url: `ws://127.0.0.1:${server.port}`, documentId: `doc-${sockets}`, token }
          first.add(yield* Effect.scoped(Effect.map(connectRaw(options), ({ first }) => first.type)))
          sockets += 1
        }
      })
      const rotate = Effect.gen(function* () {
        for (let i = 1; i <= 6; i++) {
          const [pollsBefore, socketsBefore] = [polls, sockets]
          // Published first, and then signed with; the key of before stays for its tokens.
          const next = [makeIssuer(`key-${i}`, i % 2 === 0 ? "EdDSA" : "ES256"), ...issuers].slice(0, 2)
          jwks.publish(...next)
          issuers = next
          yield* until("clients came with the new key", () => polls > pollsBefore + 20 && sockets > socketsBefore + 20)
        }
        isRotating = false
      })
      yield* Effect.all([poll, poll, connect, connect, rotate], { concurrency: "unbounded" })
      assert.deepStrictEqual([...statuses], [200])
      assert.deepStrictEqual([...first], ["document"])
      assert.isAtMost(jwks.requests(), 1 + 6 * 2)
    })
    await Effect.runPromise(Effect.scoped(test))
  })

  it("a token with keys writes with those signing keys alone", async () => {
    const cwd = freshFolder()
    const server = await serve([], { cwd })
    const [mine, another] = [makeAuthor(), makeAuthor()]
    const documentId = "welcome"
    const own = snapshotMessage(mine, { docId: documentId })
    const token = (await run([...mint, "--signing-key", own.publicData.pubKey], { cwd })).stdout.trim()
    const url = `ws://127.0.0.1:${server.port}`
    const test = Effect.gen(function* () {
      const refused = yield* connectRaw({ url, documentId, token, silent: true })
      refused.send(snapshotMessage(another, { docId: documentId }))
      assert.strictEqual((yield* refused.closed).code, 4403)
      const ephemeral = yield* connectRaw({ url, documentId, token, silent: true })
      ephemeral.send(ephemeralMessage(another, { docId: documentId }))
      assert.strictEqual((yield* ephemeral.closed).code, 4403)
      const allowed = yield* connectRaw({ url, documentId, token, silent: true })
      allowed.send(own)
      assert.strictEqual((yield* allowed.next()).type, "snapshot-saved")
    })
    await Effect.runPromise(Effect.scoped(test))
    await server.stop("SIGTERM")
  })
})
