/** Every route through the shipped load balancer configurations, over TLS: sockets, polls, files, long URLs, changes. */
import { createHash, randomBytes } from "node:crypto"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Array, Effect } from "effect"
import { vi } from "vitest"
import { openChanges } from "../support/clients/ChangeStream.ts"
import { openSocket } from "../support/clients/RawSocket.ts"
import { connectVerdant, post, registerReplica, syncResponse } from "../support/clients/RawVerdant.ts"
import { ask, bearer } from "../support/network/uploads.ts"
import { connectClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { mintToken } from "../support/servers/ServerProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { freshStorage } from "../support/storage/databases.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { initialize, makeReplica } from "../support/verdant/Replica.ts"
import { assertShared, type BalancerProgram, balancers, spawnAsked, startBalancer } from "./balancers.ts"

vi.setConfig({ testTimeout: 600_000 })

/** Two servers of one database behind a balancer. */
const start = Effect.fnUntraced(function* (balancer: BalancerProgram) {
  const database = yield* freshStorage
  const files = mkdtempSync(join(tmpdir(), "sealog-files-"))
  const args = ["--trusted-proxy", "127.0.0.1", "--files", files]
  const [one, two] = yield* Effect.all([spawnAsked(database, { args }), spawnAsked(database, { args })], {
    concurrency: 2
  })
  const { port, tlsPort } = yield* startBalancer(balancer, [one, two])
  const host = `localhost:${tlsPort}`
  /** A library whose endpoint has its name in the path, as the configurations ask for. */
  const library = (name: string = randomName()) => {
    const { id, token } = libraryOn({ url: "" }, name)
    return { id, token, endpoint: `https://${host}/library/${encodeURIComponent(name)}/verdant` }
  }
  return { servers: [one, two], port, host, library }
})

for (const balancer of balancers) {
  describe(balancer.program, () => {
    it.live("sends all clients of a Verdant library to one server, and the libraries to both", () =>
      Effect.gen(function* () {
        const { library, servers } = yield* start(balancer)
        for (let number = 1; number <= 12; number++) {
          // A name with characters that are encoded in a path.
          const one = library(`${randomName()}:é?${number}`)
          for (const userId of ["ada", "grace"]) {
            const connection = yield* connectVerdant(one, yield* one.token({ userId }))
            yield* registerReplica(connection, makeReplica())
          }
        }
        yield* assertShared(servers, 2, 24)
      })
    )

    it.live("passes polls of 2 MB, and the answers", () =>
      Effect.gen(function* () {
        const one = (yield* start(balancer)).library()
        const token = yield* one.token({ userId: "ada", type: "push" })
        const replica = makeReplica()
        const operation = replica.operation("item/1", initialize({ id: "1", text: "x".repeat(2_000_000) }))
        const stored = yield* post(one, token, [replica.sync(), replica.op(operation)])
        assert.strictEqual(stored.status, 200)
        const other = yield* post(one, token, [makeReplica().sync({ resyncAll: true })])
        assert.include(JSON.stringify(syncResponse(other)), "x".repeat(2_000_000))
        // Without a library in its path, an endpoint works too.
        const plain = yield* post({ ...one, endpoint: one.endpoint.replace(/library\/[^/]+\//, "") }, token, [
          makeReplica().sync()
        ])
        assert.strictEqual(plain.status, 200)
      })
    )

    it.live("passes uploads and downloads of 100 MB, and links that lead back through it", () =>
      Effect.gen(function* () {
        const { host, library } = yield* start(balancer)
        const one = library()
        const token = yield* one.token({ userId: "ada" })
        const bytes = randomBytes(100_000_000)
        const body = new FormData()
        body.append("file", new File([bytes], "large.bin", { type: "application/octet-stream" }))
        const url = `${one.endpoint}/files/${randomName()}`
        const sent = yield* ask(url, { method: "POST", headers: bearer(token), body })
        assert.deepStrictEqual([sent.status, sent.json], [200, { success: true }])
        const { json } = yield* ask(url, { headers: bearer(token) })
        const link = (json as { readonly url: string }).url
        assert.isTrue(link.startsWith(`https://${host}/`), link)
        const got = yield* ask(link)
        assert.strictEqual(got.status, 200)
        assert.strictEqual(hashOf(got.bytes), hashOf(bytes))
        const part = yield* ask(link, { headers: { range: "bytes=5-9" } })
        assert.deepStrictEqual([part.status, [...part.bytes]], [206, [...bytes.subarray(5, 10)]])
        const preflight = { "access-control-request-method": "POST", origin: "https://app.example.org" }
        assert.strictEqual((yield* ask(url, { method: "OPTIONS", headers: preflight })).status, 204)
      })
    )

    it.live("passes the clocks of 500 authors in a URL, and a document with slashes", () =>
      Effect.gen(function* () {
        const { host, servers } = yield* start(balancer)
        const clocks = Object.fromEntries(
          Array.makeBy(500, (number) => [randomBytes(32).toString("base64url"), 1_000 + number])
        )
        const known = `&knownSnapshotId=${randomName()}&knownSnapshotUpdateClocks=${encodeURIComponent(JSON.stringify(clocks))}`
        const token = yield* mintToken(randomName())
        const socket = yield* openSocket(`wss://${host}/${randomName()}?sessionKey=${token}${known}`)
        assert.strictEqual((yield* socket.next()).type, "document")

        for (const documentId of [`${randomName()}/a%20b/%C3%A9`, `library/${randomName()}/notes`]) {
          const through = yield* connectClient({ url: `wss://${host}`, documentId, token })
          const direct = yield* connectClient({ url: servers[0]!.url, documentId, token })
          yield* untilAll([through, direct], "both have loaded", (client) => client.isSettled())
          through.write("hello")
          yield* untilAll([through, direct], "both have it", (client) => client.list().length === 1)
        }
      })
    )

    it.live("passes server-sent events as they come, and the state of the servers", () =>
      Effect.gen(function* () {
        const { host, library, port } = yield* start(balancer)
        const one = library()
        const backend = yield* one.token({ userId: "backend", changes: true })
        const stream = yield* openChanges({ port }, { token: backend })
        assert.strictEqual(stream.status, 200)
        const replica = makeReplica()
        const connection = yield* connectVerdant(one, yield* one.token({ userId: "ada" }))
        connection.send(replica.sync())
        connection.send(replica.op(replica.operation("item/1", initialize({ id: "1" }))))
        yield* stream.untilVersion(1)
        assert.strictEqual((yield* ask(`https://${host}/readyz`)).status, 200)
      })
    )
  })
}

const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")
