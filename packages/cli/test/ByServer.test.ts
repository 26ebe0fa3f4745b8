/** Each deed of an operator, on the database and through the API of the server that serves it: the output is the same. */
import { existsSync, mkdirSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import * as JwtAccess from "@sealog/server/adapters/JwtAccess"
import { LibraryId } from "@sealog/server/domain/Ids"
import { defaultQuota } from "@sealog/server/domain/Quota"
import { Access } from "@sealog/server/ports/Access"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Effect, Exit, Redacted, Scope } from "effect"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { connectVerdant, registerReplica } from "#test-support/clients/RawVerdant"
import { isSigned, startReceiver } from "#test-support/servers/WebhookReceiver"
import { until } from "#test-support/until"
import { libraryOn } from "#test-support/verdant/Library"
import { initialize, makeReplica } from "#test-support/verdant/Replica"
import { errorOf, freshFolder, jsonOf, type Ran, run, schemaErrors, secret, serve, storeDocument } from "./support.ts"

/** Two libraries with the same content: a deed happens to the first on the database, and to the second by the server. */
const libraries = ["first", "other"] as const

const cwd = freshFolder()
const files = join(cwd, "files")
const scope = Scope.makeUnsafe()
let server: Awaited<ReturnType<typeof serve>>
let env: Record<string, string> = {}
const replicas = new Map<string, string>()

const onDatabase = (...args: ReadonlyArray<string>) => run(args, { cwd })
const byServer = (...args: ReadonlyArray<string>) => run(args, { cwd, env })

/** The output, with one name for both libraries and for what differs between two of the same content. */
const plain = ({ code, stderr, stdout }: Ran) => {
  let [text, problem] = [stdout, stderr]
  for (const name of [...libraries, ...replicas.values()]) {
    text = text.replaceAll(name, "_".repeat(name.length))
    problem = problem.replaceAll(name, "_".repeat(name.length))
  }
  const time = (part: string) =>
    part.replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, "TIME").replaceAll(/\b1[67]\d{11}(\.\d+)?\b/g, "TIME")
  // A database does not know what a server allows.
  text = text.replace(/"atMost": (null|\{[^}]*\})/, '"atMost": QUOTA')
  return { code, stdout: time(text), stderr: problem.replaceAll("with the same --server", "with the same --database") }
}

beforeAll(async () => {
  mkdirSync(files)
  const storage = SqliteStorage.layer({ filename: join(cwd, "data", "sealog.db") })
  for (const library of libraries) await Effect.runPromise(Effect.provide(storeDocument(2, library), storage))
  server = await serve(["--admin", "--files", files, "--quota", "objects=250"], { cwd })
  const url = `http://127.0.0.1:${server.port}`
  const token = (await run(["token", "mint", "--admin", "--user", "grace"], { cwd })).stdout.trim()
  env = { SEALOG_SERVER: url, ADMIN_TOKEN: token }
  for (const library of libraries) {
    const libraryId = LibraryId.make(library)
    const endpoint = `${url}/verdant`
    const connecting = Effect.gen(function* () {
      const minted = yield* Access.use((access) => access.mint({ userId: "ada", libraryId, endpoint }))
      const client = yield* connectVerdant(libraryOn({ url }, library), minted)
      const replica = makeReplica()
      replicas.set(library, replica.id)
      yield* registerReplica(client, replica)
      client.send(replica.op(replica.operation("item/x", initialize({ content: "milk" }))))
      yield* client.next("server-ack")
    }).pipe(Effect.scoped, Effect.provide(JwtAccess.layerTokens([Redacted.make(secret)])))
    await Effect.runPromise(Effect.orDie(connecting))
  }
})
afterAll(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
  await server.stop("SIGTERM")
})

describe("a command through a server's API", () => {
  const reading: ReadonlyArray<readonly [schema: string, ...command: ReadonlyArray<string>]> = [
    ["library-list", "library", "list"],
    ["library-show", "library", "show", "first"],
    ["document-list", "document", "list", "first", "--sort", "name"],
    ["document-show", "document", "show", "first", "welcome"],
    ["document-show", "document", "show", "first", "item/x"],
    ["events", "events", "first", "welcome"],
    ["events", "events", "first", "welcome", "--after", "1"],
    ["events", "events", "first", "--last", "3"],
    ["events", "events", "@access"],
    ["events", "events", "first", "@library"],
    ["replica-list", "replica", "list", "first"],
    ["stats", "stats"],
    ["stats", "stats", "--library", "first"],
    ["evict", "evict", "first", "--dry-run"],
    ["delete", "delete", "first", "--dry-run"],
    ["prune", "prune", "--all", "--older-than", "1s", "--dry-run"]
  ]
  for (const [schema, ...command] of reading) {
    it(`${command.join(" ")} prints what it prints on the database`, async () => {
      const [there, here] = await Promise.all([byServer(...command, "--json"), onDatabase(...command, "--json")])
      assert.strictEqual(here.code, 0, here.stderr)
      assert.deepStrictEqual(JSON.parse(there.stdout), JSON.parse(here.stdout))
      assert.strictEqual(schemaErrors(schema, JSON.parse(there.stdout)), "")
    })
  }

  it("prints the same lines and tables for people", async () => {
    for (const command of [
      ["library", "show", "first"],
      ["events", "first", "--last", "3"],
      ["events", "first", "welcome"]
    ]) {
      const [there, here] = await Promise.all([byServer(...command), onDatabase(...command)])
      assert.deepStrictEqual(plain(there), plain(here))
    }
  })

  it("library quota shows what the server allows, which a database does not know", async () => {
    const command = ["library", "quota", "first", "--json"]
    const [there, here] = await Promise.all([byServer(...command), onDatabase(...command)])
    const { atMost, ...ofServer } = JSON.parse(there.stdout) as { readonly atMost: Readonly<Record<string, number>> }
    assert.deepStrictEqual({ ...ofServer, atMost: null }, JSON.parse(here.stdout))
    assert.deepInclude(atMost, { objects: 250, documents: defaultQuota.documents })
    for (const { stdout } of [there, here]) assert.strictEqual(schemaErrors("library-quota", JSON.parse(stdout)), "")
    const [ofOperator, ofDatabase] = [
      await byServer("library", "quota", "first"),
      await onDatabase("library", "quota", "first")
    ]
    assert.match(ofOperator.stdout, /objects +250 \(server's\)/)
    assert.match(ofDatabase.stdout, /objects +server's \(default: 100,000\)/)
  })

  const missing: ReadonlyArray<ReadonlyArray<string>> = [
    ["library", "show", "typo"],
    ["library", "quota", "typo"],
    ["library", "quota", "typo", "--objects", "5"],
    ["document", "list", "typo"],
    ["document", "show", "typo", "welcome"],
    ["document", "show", "first", "typo"],
    ["document", "show", "first", "item/typo"],
    ["document", "create", "typo", "welcome"],
    ["events", "typo"],
    ["events", "first", "typo"],
    ["events", "typo", "welcome"],
    ["events", "typo", "@library"],
    ["events", "first", "--after", "3"],
    ["replica", "list", "typo"],
    ["replica", "truant", "first", "typo"],
    ["stats", "--library", "typo"],
    ["evict", "typo", "--yes"],
    ["evict", "first"],
    ["evict", "first", "--document", "typo", "--yes"],
    ["prune", "first", "--document", "typo", "--yes"],
    ["delete", "typo", "--yes"],
    ["delete", "typo", "--allow-again"],
    ["delete", "first", "--document", "typo", "--yes"],
    ["delete", "first", "--document", "typo", "--dry-run"],
    ["delete", "first", "--document", "typo", "--allow-again"],
    ["delete", "typo", "--document", "plans", "--new-document", "--yes"],
    ["prune", "typo", "--yes"],
    ["suspend", "typo"],
    ["resume", "typo"],
    ["token", "revoke", "--library", "typo"],
    ["token", "revoke"],
    ["token", "keys", "forget", "typo", "ada"],
    ["webhook", "add", "http://localhost/hook", "--library", "first", "--library", "typo"],
    ["webhook", "add", "ftp://localhost/"],
    ["webhook", "show", "0123456789ab"],
    ["webhook", "show", "typo"],
    ["webhook", "test", "0123456789ab"],
    ["webhook", "replay", "0123456789ab"],
    ["webhook", "replay", "0123456789ab", "--library", "typo"],
    ["webhook", "remove", "0123456789ab"]
  ]
  for (const command of missing) {
    it(`${command.join(" ")} fails as it does on the database`, async () => {
      const [there, here] = await Promise.all([byServer(...command, "--json"), onDatabase(...command, "--json")])
      assert.notStrictEqual(here.code, 0)
      const { try: ofServer, ...expected } = errorOf(there)
      const { try: ofDatabase, ...found } = errorOf(here)
      assert.deepStrictEqual({ exit: there.code, ...expected }, { exit: here.code, ...found })
      assert.strictEqual(ofServer?.replace("--server", "--database"), ofDatabase)
    })
  }

  /** In this order. `LIBRARY` and `REPLICA` stand for those of each way. */
  const deeds: ReadonlyArray<ReadonlyArray<string>> = [
    ["library", "quota", "LIBRARY", "--objects", "500", "--reason", "a test"],
    ["library", "quota", "LIBRARY", "--objects", "500"],
    ["library", "quota", "LIBRARY", "--default"],
    ["document", "create", "LIBRARY", "plans"],
    ["document", "create", "LIBRARY", "plans"],
    ["document", "create", "LIBRARY-new", "plans", "--new-library"],
    ["suspend", "LIBRARY", "--reason", "unpaid"],
    ["suspend", "LIBRARY"],
    ["resume", "LIBRARY"],
    ["resume", "LIBRARY"],
    ["token", "revoke", "--library", "LIBRARY"],
    ["token", "revoke", "token-of-LIBRARY"],
    ["token", "revoke", "token-of-LIBRARY"],
    ["token", "revoke", "--user", "bob", "--library", "LIBRARY"],
    ["token", "keys", "forget", "LIBRARY", "ada"],
    ["replica", "truant", "LIBRARY", "REPLICA"],
    ["replica", "truant", "LIBRARY", "REPLICA"],
    ["prune", "LIBRARY", "--older-than", "1s", "--yes"],
    ["evict", "LIBRARY", "--document", "welcome", "--yes"],
    ["evict", "LIBRARY", "--suspend", "--yes"],
    ["evict", "LIBRARY", "--yes"],
    ["delete", "LIBRARY", "--document", "plans", "--yes"],
    ["document", "create", "LIBRARY", "plans"],
    ["delete", "LIBRARY", "--document", "plans", "--allow-again"],
    ["delete", "LIBRARY", "--document", "unseen", "--new-document", "--yes"],
    ["document", "create", "LIBRARY", "unseen"],
    ["delete", "LIBRARY", "--yes", "--reason", "account closed"],
    ["delete", "LIBRARY", "--allow-again"]
  ]
  it("does each deed as it does it on the database, in the name of the token's operator", {
    timeout: 600_000
  }, async () => {
    const deletes = (deed: ReadonlyArray<string>) => deed.includes("--yes") && deed[0] !== "prune"
    for (const deed of deeds) {
      const argsFor = (library: string) =>
        deed.map((arg) => arg.replace("LIBRARY", library).replace("REPLICA", replicas.get(library) ?? ""))
      const local = [...argsFor("first"), "--json", ...(deletes(deed) ? ["--files", files] : [])]
      const [here, there] = await Promise.all([onDatabase(...local), byServer(...argsFor("other"), "--json")])
      assert.deepStrictEqual(plain(there), plain(here), deed.join(" "))
    }

    // The server writes the operator of the token, and the reason, into the log.
    const { stdout } = await byServer("events", "other", "@library", "--json")
    const { events } = JSON.parse(stdout) as { events: ReadonlyArray<{ type: string; data: Record<string, unknown> }> }
    const suspended = events.find(({ type }) => type === "LibrarySuspended")
    assert.deepStrictEqual(suspended?.data, { operator: "grace", reason: "unpaid" })
    for (const name of ["evicted", "suspended", "deleted"])
      assert.include(server.stdout() + server.stderr(), `operator: ${name}`)
  })

  it("adds, shows, tries and removes webhooks as on the database, and keeps their secrets", async () => {
    const receiver = await Effect.runPromise(Scope.provide(startReceiver, scope))
    const added = await byServer("webhook", "add", receiver.url, "--library", "first", "--from-start", "--json")
    const { id, secret } = jsonOf("webhook-add", added) as { readonly id: string; readonly secret: string }
    await Effect.runPromise(receiver.untilTaken(3))
    assert.isTrue(receiver.taken().every((message) => isSigned(secret, message)))
    const isRecorded = async () =>
      jsonOf("webhook-show", await byServer("webhook", "show", id, "--json"))["streamsBehind"] === 0
    await Effect.runPromise(until("the deliveries are recorded", Effect.promise(isRecorded)))
    for (const command of [
      ["webhook", "list"],
      ["webhook", "show", id],
      ["webhook", "test", id],
      ["webhook", "replay", id]
    ]) {
      const [there, here] = await Promise.all([byServer(...command, "--json"), onDatabase(...command, "--json")])
      assert.deepStrictEqual(plain(there), plain(here), command.join(" "))
      assert.strictEqual(there.code, 0, there.stderr)
    }
    receiver.answer(() => 500)
    const failed = await byServer("webhook", "test", id, "--json")
    assert.deepStrictEqual([failed.code, errorOf(failed).code], [1, "WEBHOOK_FAILED"])
    const removed = await byServer("webhook", "remove", id, "--reason", "a test")
    assert.strictEqual(removed.stdout, `Removed webhook ${id}.\n`, removed.stderr)
    assert.strictEqual((await onDatabase("webhook", "list")).stdout, "No webhooks.\n")
    const log = server.stdout() + server.stderr()
    assert.include(log, "operator: webhook added")
    assert.notInclude(log, secret.slice(10, 30))
    assert.notInclude(log, receiver.url)
  })

  it("is where the server said at its start that the page of operators is", async () => {
    const [, page = ""] = /^Operators: http:\/\/localhost(:\d+\/admin), with a token of/m.exec(server.stdout()) ?? []
    assert.strictEqual((await fetch(`http://127.0.0.1${page}`)).status, 200)
  })

  it("a document that has no snapshot yet is not shown as evicted", async () => {
    await byServer("document", "create", "empty", "plans", "--new-library")
    const { documents } = jsonOf("document-list", await byServer("document", "list", "empty", "--json"))
    assert.deepInclude((documents as ReadonlyArray<object>)[0], { documentId: "plans", evicted: false, payloads: 0 })
    assert.include((await byServer("document", "show", "empty", "plans")).stdout, "no snapshot")
  })

  it("events --follow shows new events until it is stopped", async () => {
    await byServer("document", "create", "followed", "plans", "--new-library")
    const following = run(["events", "followed", "--follow"], {
      cwd,
      env,
      signalAtStdout: { signal: "SIGINT", fits: /DocumentCreated[\s\S]*LibrarySuspended/ }
    })
    // Whether the command follows already does not matter: it begins with the last events.
    await byServer("suspend", "followed")
    assert.strictEqual((await following).code, 0)
  })

  it("refuses flags that name what the server has of its own", async () => {
    for (const flag of ["--database=sqlite:x.db", "--files=.", "--as=ada"]) {
      const ran = await byServer("evict", "first", "--suspend", flag, "--server", env["SEALOG_SERVER"]!, "--json")
      assert.deepStrictEqual([ran.code, errorOf(ran).code], [2, "USAGE"], flag)
    }
    // A database in the command goes before the server of the environment.
    const ran = await byServer("library", "show", "first", "--database", "sqlite:missing.db", "--json")
    assert.strictEqual(errorOf(ran).code, "STORAGE_UNAVAILABLE")
    assert.isFalse(existsSync(join(cwd, "missing.db")))
  })

  it("says of other commands that no server can do them", async () => {
    for (const command of [["migrate"], ["replay"], ["backup", "verify"], ["promote"]]) {
      const ran = await byServer(...command, "--server", env["SEALOG_SERVER"]!, "--json")
      assert.deepStrictEqual([ran.code, errorOf(ran).code], [2, "NOT_BY_SERVER"], command.join(" "))
    }
  })

  it("a server that stops leaves the same error as one that was never there", async () => {
    const unreachable = { ...env, SEALOG_SERVER: "http://127.0.0.1:1" }
    const ran = await run(["suspend", "first", "--json"], { cwd, env: unreachable })
    assert.deepStrictEqual([ran.code, errorOf(ran).code], [3, "SERVER_UNREACHABLE"])
    const refused = await run(["suspend", "first", "--json"], { cwd, env: { ...env, ADMIN_TOKEN: "x" } })
    assert.deepStrictEqual([refused.code, errorOf(refused).code], [1, "NOT_ADMINISTRATOR"])
  })
})

it("serve --admin loads the public keys of tokens once", async () => {
  let asked = 0
  const folder = freshFolder()
  const keys = JSON.parse((await run(["token", "keys", "make", "key.json", "--json"], { cwd: folder })).stdout)
  assert.isObject(keys)
  const jwks = (await run(["token", "keys", "jwks", "key.json"], { cwd: folder })).stdout
  const source = createServer((_, response) => {
    asked += 1
    response.setHeader("content-type", "application/json").end(jwks)
  })
  await new Promise<void>((resolve) => source.listen(0, "127.0.0.1", resolve))
  const { port } = source.address() as AddressInfo
  const args = ["--admin", "--token-jwks", `http://127.0.0.1:${port}/keys`]
  const served = await serve(args, { cwd: folder })
  await served.stop("SIGTERM")
  source.close()
  assert.strictEqual(asked, 1)
})
