/** The Caddyfile of docs/self-host.md in front of a server: sockets, polls, files, long URLs and server-sent events pass, over TLS. */
import { randomBytes } from "node:crypto"
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import { Array, Effect } from "effect"
import { openSocket } from "../support/clients/RawSocket.ts"
import { connectVerdant, post } from "../support/clients/RawVerdant.ts"
import { freePort } from "../support/network/freePort.ts"
import { ask, bearer } from "../support/network/uploads.ts"
import { connectClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { mintToken, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { freshStorage } from "../support/storage/databases.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { initialize, makeReplica } from "../support/verdant/Replica.ts"
import { runProgram } from "./Binary.ts"
import { writeCertificate } from "./balancers.ts"

const page = readFileSync(join(import.meta.dirname, "../../docs/self-host.md"), "utf8")
const shown = /^```\n(sync\.example\.org \{\n.*?)^```/ms.exec(page)?.[1] ?? ""

/** A server behind Caddy, which has the page's configuration with other ports, and a certificate in place of one from the internet. */
const start = Effect.gen(function* () {
  const args = ["--trusted-proxy", "127.0.0.1", "--files", mkdtempSync(join(tmpdir(), "sealog-files-"))]
  const server = yield* spawnServer(yield* freshStorage, { args })
  const folder = mkdtempSync(join(tmpdir(), "sealog-caddy-"))
  yield* Effect.promise(() => writeCertificate(folder))
  const port = yield* Effect.promise(freePort)
  const site = shown
    .replace("sync.example.org {", `localhost:${port} {\n\ttls ${folder}/fullchain.pem ${folder}/privkey.pem`)
    .replace("127.0.0.1:4000", `127.0.0.1:${server.port}`)
  assert.include(site, String(server.port))
  writeFileSync(join(folder, "Caddyfile"), `{\n\tadmin off\n\tauto_https disable_redirects\n}\n${site}`)
  yield* runProgram("caddy", ["run", "--config", join(folder, "Caddyfile")], port)
  return { host: `localhost:${port}`, server }
})

it.live("Caddy with the page's configuration passes every route", () =>
  Effect.gen(function* () {
    const { host, server } = yield* start
    const { endpoint, id, token } = libraryOn({ url: `https://${host}` })
    assert.strictEqual((yield* ask(`https://${host}/readyz`)).status, 200)

    const backend = yield* token({ userId: "backend", changes: true })
    const changes = yield* Effect.promise(() => fetch(`https://${host}/changes`, { headers: bearer(backend) }))
    assert.strictEqual(changes.status, 200)
    const ada = yield* token({ userId: "ada" })
    const replica = makeReplica()
    const connection = yield* connectVerdant({ id, token, endpoint }, ada)
    connection.send(replica.sync())
    connection.send(replica.op(replica.operation("item/1", initialize({ id: "1", text: "x".repeat(2_000_000) }))))
    yield* Effect.promise(() => untilRead(changes, /"userId":"ada"/))
    const polled = yield* post({ id, token, endpoint }, ada, [makeReplica().sync({ resyncAll: true })])
    assert.include(JSON.stringify(polled.messages), "x".repeat(2_000_000))

    const bytes = randomBytes(20_000_000)
    const body = new FormData()
    body.append("file", new File([bytes], "large.bin", { type: "application/octet-stream" }))
    const url = `${endpoint}/files/${randomName()}`
    const sent = yield* ask(url, { method: "POST", headers: bearer(ada), body })
    assert.deepStrictEqual([sent.status, sent.json], [200, { success: true }])
    const link = ((yield* ask(url, { headers: bearer(ada) })).json as { readonly url: string }).url
    assert.isTrue(link.startsWith(`https://${host}/`), link)
    assert.isTrue(bytes.equals((yield* ask(link)).bytes))

    const notes = yield* mintToken(randomName())
    const clocks = Object.fromEntries(Array.makeBy(500, (number) => [randomBytes(32).toString("base64url"), number]))
    const known = `&knownSnapshotId=${randomName()}&knownSnapshotUpdateClocks=${encodeURIComponent(JSON.stringify(clocks))}`
    const socket = yield* openSocket(`wss://${host}/${randomName()}?sessionKey=${notes}${known}`)
    assert.strictEqual((yield* socket.next()).type, "document")

    const documentId = `${randomName()}/a%20b/%C3%A9`
    const through = yield* connectClient({ url: `wss://${host}`, documentId, token: notes })
    const direct = yield* connectClient({ url: `ws://127.0.0.1:${server.port}`, documentId, token: notes })
    yield* untilAll([through, direct], "both have loaded", (client) => client.isSettled())
    through.write("hello")
    yield* untilAll([through, direct], "both have it", (client) => client.list().length === 1)
  })
)

/** Reads a response until its text matches, and ends it. */
const untilRead = async ({ body }: Response, fits: RegExp): Promise<void> => {
  let text = ""
  for await (const part of body!.pipeThrough(new TextDecoderStream())) {
    text += part
    if (fits.test(text)) return
  }
  throw new Error(`The response ended before ${fits}: ${text}`)
}
