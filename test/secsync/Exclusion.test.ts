/** A revocation or suspension by an operator takes effect at once, on every server, and lasts. */
import { assert, describe, it } from "@effect/vitest"
import { Array, Effect } from "effect"
import { inject } from "vitest"
import { connectRaw, openRaw } from "../support/clients/RawSecsync.ts"
import { connectClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { mintToken, runCommand, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { freshStorage } from "../support/storage/databases.ts"

/** Starts two servers on Postgres, and one on SQLite, which serves one process. */
const startServers = Effect.gen(function* () {
  const database = yield* freshStorage
  const count = inject("storage") !== "SQLite" ? 2 : 1
  const servers = yield* Effect.all(
    Array.makeBy(count, () => spawnServer(database)),
    { concurrency: count }
  )
  return { database, urls: servers.map(({ url }) => url) }
})

const run = Effect.fnUntraced(function* (database: string, ...args: ReadonlyArray<string>) {
  const { exitCode, stdout, stderr } = yield* runCommand(database, ...args)
  assert.strictEqual(exitCode, 0, stderr)
  return JSON.parse(stdout)
})

const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString())

describe("exclusion", () => {
  it.live("revoking a token, a user or a library disconnects exactly its clients, on every server", () =>
    Effect.gen(function* () {
      const { database, urls } = yield* startServers
      const [library, other] = [randomName(), randomName()]
      const tokens = {
        first: yield* mintToken(library, "ada"),
        second: yield* mintToken(library, "ada"),
        grace: yield* mintToken(library, "grace"),
        elsewhere: yield* mintToken(other, "ada"),
        graceElsewhere: yield* mintToken(other, "grace")
      }
      const documentId = randomName()
      const connect = (token: string) => Effect.forEach(urls, (url) => connectRaw({ url, documentId, token }))
      const [first, second, grace, elsewhere, graceElsewhere] = yield* Effect.all([
        connect(tokens.first),
        connect(tokens.second),
        connect(tokens.grace),
        connect(tokens.elsewhere),
        connect(tokens.graceElsewhere)
      ])
      const areCutOff = Effect.fnUntraced(function* (clients: typeof first, token: string) {
        for (const client of clients) {
          assert.deepStrictEqual(yield* client.closed, { code: 4401, reason: "the token was revoked" })
          assert.strictEqual(client.frames.at(-1)?.type, "unauthorized")
        }
        for (const again of yield* connect(token)) {
          assert.strictEqual(again.first.type, "unauthorized")
          assert.strictEqual((yield* again.closed).code, 4401)
        }
      })
      const areIn = (...clients: ReadonlyArray<typeof first>) =>
        assert.isTrue(clients.flat().every((client) => client.isOpen()))

      const tokenId: string = claimsOf(tokens.first).jti
      assert.isTrue((yield* run(database, "token", "revoke", tokenId)).changed)
      yield* areCutOff(first, tokens.first)
      areIn(second, grace, elsewhere, graceElsewhere)
      assert.isFalse((yield* run(database, "token", "revoke", tokenId)).changed)

      yield* run(database, "token", "revoke", "--user", "ada", "--library", library, "--new-library")
      yield* areCutOff(second, tokens.second)
      areIn(grace, elsewhere, graceElsewhere)
      const renewed = yield* connect(yield* mintToken(library, "ada"))
      assert.isTrue(renewed.every((client) => client.first.type === "document"))

      yield* run(database, "token", "revoke", "--user", "ada")
      yield* areCutOff(elsewhere, tokens.elsewhere)
      areIn(grace, graceElsewhere)

      yield* run(database, "token", "revoke", "--library", library)
      yield* areCutOff(grace, tokens.grace)
      areIn(graceElsewhere)
      assert.strictEqual((yield* run(database, "replay")).problemCount, 0)
    })
  )

  it.live("clients of a suspended library return by themselves after it is resumed, with their offline changes", () =>
    Effect.gen(function* () {
      const { database, urls } = yield* startServers
      const library = randomName()
      const options = { documentId: randomName(), token: yield* mintToken(library) }
      const clients = yield* Effect.forEach(urls, (url) => connectClient({ url, ...options }))
      const bystander = yield* connectRaw({
        url: urls[0]!,
        documentId: options.documentId,
        token: yield* mintToken(randomName())
      })
      yield* untilAll(clients, "they have loaded", (client) => client.isSettled())
      clients[0]?.write("before")
      yield* untilAll(clients, "they have it", (client) => client.isSettled() && client.list().length === 1)

      assert.isTrue((yield* run(database, "suspend", library)).changed)
      yield* untilAll(clients, "they are out", (client) => client.state() !== "connected")
      for (const url of urls) {
        const raw = yield* connectRawUntilClosed({ url, ...options })
        assert.deepStrictEqual(raw, { code: 1013, reason: "the library is suspended" })
      }
      clients[0]?.write("while suspended")
      assert.isTrue(bystander.isOpen())

      assert.isTrue((yield* run(database, "resume", library)).changed)
      yield* untilAll(clients, "they are back", (client) => client.isSettled() && client.list().length === 2)
    })
  )

  it.live("clients restore an evicted and suspended library only after it is resumed", () =>
    Effect.gen(function* () {
      const { database, urls } = yield* startServers
      const library = randomName()
      const options = { documentId: randomName(), token: yield* mintToken(library) }
      const clients = yield* Effect.forEach(urls, (url) => connectClient({ url, ...options }))
      yield* untilAll(clients, "they have loaded", (client) => client.isSettled())
      clients[0]?.write("kept")
      yield* untilAll(clients, "they have it", (client) => client.isSettled() && client.list().length === 1)

      assert.isTrue((yield* run(database, "evict", library, "--suspend", "--yes")).suspended)
      yield* untilAll(clients, "they are out", (client) => client.state() !== "connected")
      assert.strictEqual((yield* run(database, "library", "show", library)).evictedDocuments, 1)

      yield* run(database, "resume", library)
      yield* untilAll(clients, "they are back", (client) => client.isSettled() && client.list().length === 1)
      assert.strictEqual((yield* run(database, "library", "show", library)).evictedDocuments, 0)
      assert.strictEqual((yield* run(database, "replay")).problemCount, 0)
    })
  )
})

const connectRawUntilClosed = (options: Parameters<typeof openRaw>[0]) =>
  Effect.flatMap(openRaw(options), ({ closed }) => closed)
