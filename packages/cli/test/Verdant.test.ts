/** The commands on libraries that Verdant clients have filled, on each storage, without a terminal. */
import { mkdirSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { layerFileSystem } from "@sealog/server/adapters/FileSystemBlobStore"
import { authorization, cliSync } from "@verdant-web/store"
import { Effect, Exit, Layer, Scope } from "effect"
import { afterAll, assert, beforeAll, describe, it, vi } from "vitest"
import { startServer } from "#test-support/servers/TestServer"
import { layerOf, storages } from "#test-support/storage/databases"
import { until } from "#test-support/until"
import { type Library, libraryOn } from "#test-support/verdant/Library"
import { openClient, openClients, untilSame } from "#test-support/verdant/VerdantClient"
import { holdings } from "../../../test/admin/support.ts"
import { errorOf, freshFolder, jsonOf, type Ran, run, serve, storeDocument } from "./support.ts"

/** Characters that move a terminal's cursor or reverse its text. */
const HOSTILE = "\u001b[2J \u009b2J \u202e"

/** Fills two libraries, "notes" and "plans", through real clients, then closes the clients and the server. */
const fill = Effect.fnUntraced(function* (database: string) {
  const server = yield* startServer({ database })
  const library = libraryOn(server, "notes")
  const [ada, bob] = yield* openClients(["ada", "bob"], { library })
  const guest = yield* openClient({ library, user: "guest", type: "read-only" })
  const id = yield* ada.put({ content: "milk", tags: ["cold"], comments: [{ author: "ada", text: HOSTILE }] })
  const secret = yield* ada.put({ content: "private" }, { access: authorization.private })
  yield* bob.until("it has the item", (items) => items.length === 1)
  yield* bob.edit(id, (item) => item.get("tags").push("white"))
  yield* guest.until("it has the edit", ([item]) => item?.tags.length === 2)
  yield* untilSame([bob, guest])
  yield* until("ada has said all", () => ada.isSettled())
  const plans = yield* openClient({ library: libraryOn(server, "plans"), user: "ada" })
  const plan = yield* plans.put({ content: "a plan" })
  yield* until("the plan is stored", () => plans.isSettled())
  return { id, secret, plan, adasReplica: yield* ada.replicaId }
}, Effect.scoped)

for (const { name, fresh } of storages) {
  describe(name, () => {
    const scope = Scope.makeUnsafe()
    const cwd = freshFolder()
    const make = <A>(effect: Effect.Effect<A, never, Scope.Scope>) => Effect.runPromise(Scope.provide(effect, scope))
    const other = storages.find((storage) => storage.name !== name)!
    let database = ""
    let filled = { id: "", secret: "", plan: "", adasReplica: "" }
    const on = (url: string, ...args: ReadonlyArray<string>) => run(args, { cwd, env: { DATABASE_URL: url } })
    const sealog = (...args: ReadonlyArray<string>) => on(database, ...args)
    const ok = (ran: Ran): Ran => {
      assert.strictEqual(ran.code, 0, ran.stderr + ran.stdout)
      return ran
    }
    const json = async (schema: string, ...args: ReadonlyArray<string>) =>
      jsonOf(schema, ok(await sealog(...args, "--json")))
    const text = async (...args: ReadonlyArray<string>) => ok(await sealog(...args)).stdout
    /** The streams of a log, without its own identity, which no copy has. */
    const held = async (url: string) => {
      const streams = await Effect.runPromise(Effect.provide(holdings, layerOf(url)))
      return streams.filter(({ streamId }) => streamId !== "@log")
    }
    const refusals = async (cases: ReadonlyArray<readonly [ReadonlyArray<string>, number, string]>) => {
      for (const [args, exit, code] of cases) {
        const ran = await sealog(...args, "--json")
        assert.deepStrictEqual([ran.code, errorOf(ran).code], [exit, code], args.join(" "))
        assert.isNotEmpty(errorOf(ran).try, args.join(" "))
      }
    }

    beforeAll(async () => {
      database = await make(fresh)
      filled = await Effect.runPromise(fill(database))
      await Effect.runPromise(Effect.provide(storeDocument(3), layerOf(database)))
      await Effect.runPromise(Effect.provide(storeDocument(2, "sealed"), layerOf(database)))
    })
    afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

    it("replay --to, export and import copy Verdant data to the other storage", async () => {
      const [copied, imported] = [await make(other.fresh), await make(other.fresh)]
      const { copy } = await json("replay", "replay", "--to", copied, "--verify")
      assert.isAbove((copy as { readonly written: number }).written, 5)
      const output = join(cwd, "all.jsonl")
      ok(await sealog("export", "--output", output))
      ok(await on(imported, "import", "--input", output))
      const show = ["document", "show", "notes", `item/${filled.id}`]
      const shown = await text(...show)
      const infos = await text("library", "show", "notes")
      for (const to of [copied, imported]) {
        assert.deepStrictEqual(await held(to), await held(database))
        assert.include(ok(await on(to, "replay")).stdout, "all as written")
        assert.strictEqual(ok(await on(to, ...show)).stdout, shown)
        assert.strictEqual(ok(await on(to, "library", "show", "notes")).stdout, infos)
      }
      // One library first, then the rest.
      const part = await make(other.fresh)
      ok(await sealog("export", "--library", "plans", "--output", output))
      ok(await on(part, "import", "--input", output))
      assert.include(ok(await on(part, "document", "show", "plans", `item/${filled.plan}`)).stdout, "a plan")
      ok(await sealog("replay", "--to", part))
      assert.deepStrictEqual(await held(part), await held(database))
    })

    it("a server on a copy serves its clients", async () => {
      const copied = await make(other.fresh)
      ok(await sealog("replay", "--to", copied))
      const going = Effect.gen(function* () {
        const library = libraryOn(yield* startServer({ database: copied }), "notes")
        const late = yield* openClient({ library, user: "late" })
        yield* late.until("it has the item", ([item]) => item?.content === "milk")
        yield* late.edit(filled.id, (item) => item.set("content", "tea"))
        yield* until("it is stored", () => late.isSettled())
      })
      await Effect.runPromise(Effect.scoped(going))
      assert.include(ok(await on(copied, "document", "show", "notes", `item/${filled.id}`)).stdout, '"tea"')
      assert.include(ok(await on(copied, "replay")).stdout, "all as written")
    })

    // The rest of the commands is the same on each storage.
    if (name !== "SQLite") return

    it("replica list shows each replica's user, type and progress, and none for a library without Verdant data", async () => {
      const { replicas } = await json("replica-list", "replica", "list", "notes")
      const listed = replicas as ReadonlyArray<Record<string, unknown>>
      assert.sameDeepMembers(
        listed.map(({ userId, type, truant }) => [userId, type, truant]),
        [
          ["ada", "realtime", false],
          ["bob", "realtime", false],
          ["guest", "read-only", false]
        ]
      )
      for (const { seen, promisedAt } of listed) {
        assert.approximately(Number(seen), Date.now(), 600_000)
        if (promisedAt !== null) assert.approximately(Number(promisedAt), Date.now(), 600_000)
      }
      const shown = await text("replica", "list", "notes")
      assert.match(shown, /^REPLICA +USER +TYPE +RECEIVED +PROMISE +LAST SEEN\n/)
      const row = `${filled.adasReplica} +ada +realtime +\\d+ +20\\d\\d-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d +\\d+ (s|min) ago\n`
      assert.match(shown, new RegExp(row))
      assert.strictEqual(await text("replica", "list", "sealed"), "No replicas.\n")
      assert.deepStrictEqual((await json("replica-list", "replica", "list", "sealed"))["replicas"], [])
      await refusals([
        [["replica", "list", "nothing"], 1, "NO_SUCH_LIBRARY"],
        [["replica", "list", "@server"], 2, "NAME_INVALID"],
        [["replica", "list"], 2, "USAGE"]
      ])
    })

    it("replica truant marks one replica, once", async () => {
      const { adasReplica } = filled
      const first = await json("replica-truant", "replica", "truant", "notes", adasReplica)
      assert.deepStrictEqual(first, { libraryId: "notes", replicaId: adasReplica, changed: true })
      assert.isFalse((await json("replica-truant", "replica", "truant", "notes", adasReplica))["changed"])
      assert.strictEqual(
        await text("replica", "truant", "notes", adasReplica),
        `${adasReplica} was marked as truant before.\n`
      )
      const { replicas } = await json("replica-list", "replica", "list", "notes")
      const truant = (replicas as ReadonlyArray<Record<string, unknown>>).filter((replica) => replica["truant"])
      assert.deepStrictEqual(
        truant.map(({ replicaId }) => replicaId),
        [adasReplica]
      )
      assert.match(await text("replica", "list", "notes"), new RegExp(`${adasReplica} .* truant\n`))
      await refusals([
        [["replica", "truant", "notes", "nobody"], 1, "NO_SUCH_REPLICA"],
        [["replica", "truant", "sealed", adasReplica], 1, "NO_SUCH_REPLICA"],
        [["replica", "truant", "nothing", adasReplica], 1, "NO_SUCH_LIBRARY"],
        [["replica", "truant", "notes", "no/body"], 2, "NAME_INVALID"],
        [["replica", "truant", "notes"], 2, "USAGE"]
      ])
    })

    it("library show counts Verdant data", async () => {
      const shown = await json("library-show", "library", "show", "notes")
      assert.deepInclude(shown, { documents: 1, evictedDocuments: 0 })
      const verdant = shown["verdant"] as Record<string, number>
      assert.deepInclude(verdant, { replicas: 3, truantReplicas: 1, files: 0, fileBytes: 0 })
      assert.isAbove(verdant["operations"]! + verdant["baselines"]!, 5)
      assert.match(
        await text("library", "show", "notes"),
        /\n\nVerdant\nreplicas {4}3, of which 1 truant\noperations {2}\d+ on \d+ baselines?\nwatermark {3}.+\nfiles {7}0, 0 B\n$/
      )
      assert.isNull((await json("library-show", "library", "show", "sealed"))["verdant"])
      assert.notInclude(await text("library", "show", "sealed"), "Verdant")
    })

    it("library quota shows the use of the Verdant data", async () => {
      const use = (await json("library-quota", "library", "quota", "notes"))["use"] as Record<string, number>
      assert.deepInclude(use, { replicas: 3, files: 0, fileBytes: 0 })
      assert.isAbove(use["objects"]!, 3)
      assert.isAbove(use["operations"]!, 3)
      assert.isAbove(use["bytes"]!, 500)
      const none = (await json("library-quota", "library", "quota", "sealed"))["use"] as Record<string, number>
      assert.deepInclude(none, { replicas: 0, objects: 0, bytes: 0 })
    })

    it("document show prints a Verdant document as JSON, and the state of a Secsync document", async () => {
      const { id } = filled
      const shown = await json("document-show", "document", "show", "notes", `item/${id}`)
      assert.deepInclude(shown, { libraryId: "notes", collection: "item", documentId: id })
      const expected = { id, content: "milk", tags: ["cold", "white"], comments: [{ author: "ada", text: HOSTILE }] }
      assert.deepInclude(shown["snapshot"] as object, expected)
      const told = await text("document", "show", "notes", `item/${id}`)
      assert.deepInclude(JSON.parse(told), expected)
      assert.notMatch(told.replaceAll("\n", ""), /[\p{Cc}\p{Cf}]/u)
      // Administrators see private documents, too.
      assert.strictEqual(
        JSON.parse(await text("document", "show", "notes", `item/${filled.secret}`)).content,
        "private"
      )
      assert.strictEqual((await json("document-show", "document", "show", "notes", "welcome"))["updates"], 3)
      await refusals([
        [["document", "show", "notes", "item/nothing"], 1, "NO_SUCH_DOCUMENT"],
        [["document", "show", "sealed", `item/${id}`], 1, "NO_SUCH_DOCUMENT"],
        [["document", "show", "notes", "/x"], 2, "NAME_INVALID"],
        [["document", "show", "notes", "item/"], 2, "NAME_INVALID"],
        [["document", "show", "notes", "@verdant"], 2, "NAME_INVALID"]
      ])
    })

    it("events shows Verdant events alone and among the library's", async () => {
      const all = await json("events", "events", "notes", "@verdant", "--after", "0")
      const types = (all["events"] as ReadonlyArray<{ readonly type: string }>).map(({ type }) => type)
      assert.include(types, "OperationsStored")
      assert.include(types, "ReplicaMadeTruant")
      const told = await text("events", "notes", "@verdant")
      assert.match(told, /@verdant +\d+ {2}OperationsStored +[\d.]+ k?B {2}replica \S+, user ada, .*operations \d+/)
      assert.match(told, new RegExp(`ReplicaMadeTruant +replica ${filled.adasReplica}\n`))
      assert.match(await text("events", "notes"), /welcome .*UpdateStored[\s\S]*@verdant/)
    })

    it("replay verifies Verdant data, and prune leaves it alone", async () => {
      assert.deepInclude(await json("replay", "replay", "--library", "notes"), { streams: 2, problemCount: 0 })
      assert.include(await text("replay"), "all as written")
      const before = await held(database)
      const pruned = await json("prune", "prune", "--all", "--older-than", "0s", "--yes")
      assert.deepStrictEqual(pruned["documents"], [])
      assert.deepStrictEqual(await held(database), before)
      const help = await text("prune", "--help")
      assert.include(help.replaceAll(/\s+/g, " "), "Verdant data is left alone")
    })

    it("evict reports documents and Verdant data", async () => {
      assert.match(await text("evict", "notes", "--dry-run"), /^Would evict 1 document and Verdant data, [\d.]+ k?B of/)
      assert.match(await text("evict", "plans", "--dry-run"), /^Would evict Verdant data, [\d.]+ k?B of payloads\.\n$/)
      assert.match(await text("evict", "sealed", "--dry-run"), /^Would evict 1 document, [\d.]+ k?B of payloads\.\n$/)
      const planned = await json("evict", "evict", "notes", "--dry-run")
      const ids = (planned["documents"] as ReadonlyArray<{ documentId: string }>).map(({ documentId }) => documentId)
      assert.sameMembers(ids, ["welcome", "@verdant"])
      assert.match(await text("evict", "plans", "--yes"), /^Evicted Verdant data, freed [\d.]+ k?B\.\n$/)
      assert.match(await text("evict", "notes", "--yes"), /^Evicted 1 document and Verdant data, freed [\d.]+ k?B\.\n$/)
      assert.strictEqual(await text("evict", "notes", "--yes"), "Nothing to evict in notes.\n")
      assert.isNull((await json("library-show", "library", "show", "notes"))["verdant"])
      assert.strictEqual(await text("replica", "list", "notes"), "No replicas.\n")
      await refusals([[["document", "show", "notes", `item/${filled.id}`], 1, "NO_SUCH_DOCUMENT"]])
      assert.match(await text("events", "notes", "@verdant"), /OperationsStored +purged[\s\S]*Evicted .*\n$/)
      assert.include(await text("replay", "--library", "notes"), "all as written")
    })

    it("evict reports uploaded files, and deletes them with --files", async () => {
      const directory = join(cwd, "files")
      const blobs = Layer.orDie(layerFileSystem({ directory }))
      const stored = () =>
        readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((name) => /^[^.].*[/]/.test(name))
      const uploading = Effect.gen(function* () {
        const server = yield* startServer({ database, blobs })
        for (const id of ["files", "more files"]) {
          const client = yield* openClient({ library: libraryOn(server, id.replace(" ", "-")), user: "ada" })
          for (const text of ["one", "two"]) yield* client.put({ image: new File([text], `${text}.txt`) })
          yield* until("both are uploaded", () => client.network.uploads() === 2)
          yield* until("all is stored", () => client.isSettled())
        }
      })
      await Effect.runPromise(Effect.scoped(uploading))
      assert.strictEqual(stored().length, 4)
      assert.match(await text("evict", "files", "--dry-run"), /of payloads and 2 files of 6 B\.\n$/)
      const planned = await json("evict", "evict", "files", "--dry-run", "--files", directory)
      assert.deepInclude(planned, { files: 2, fileBytes: 6, filesDeleted: false })
      await refusals([
        [["evict", "files", "--yes", "--files", join(cwd, "nowhere")], 2, "NO_SUCH_DIRECTORY"],
        [["evict", "files", "--yes", "--files", join(cwd, "package.json")], 2, "NO_SUCH_DIRECTORY"]
      ])
      assert.match(
        await text("evict", "files", "--yes"),
        /freed [\d.]+ k?B and 2 files of 6 B\.\nThe bytes of the files are still stored\. A server deletes them within two days; .*\n$/
      )
      assert.strictEqual(stored().length, 4)
      assert.strictEqual(await text("evict", "files", "--yes", "--files", directory), "Nothing to evict in files.\n")
      assert.strictEqual(stored().length, 2)
      const ran = await run(["evict", "more-files", "--yes", "--json"], {
        cwd,
        env: { DATABASE_URL: database, SEALOG_FILES: directory }
      })
      assert.deepInclude(jsonOf("evict", ok(ran)), { files: 2, fileBytes: 6, filesDeleted: true })
      assert.deepStrictEqual(stored(), [])
    })

    it("serve --dev returns tokens to real clients", async () => {
      const url = await make(fresh)
      const served = await serve(["--dev", "--database", url], { cwd: freshFolder() })
      const endpoint = /authEndpoint: "(\S+)\?user=ada"/.exec(served.stdout())?.[1] ?? ""
      assert.strictEqual(endpoint, `http://localhost:${served.port}/auth/playground`)
      const library = {
        id: "playground",
        endpoint: "",
        token: ({ userId }) =>
          Effect.promise(async () => {
            const response = await fetch(`${endpoint}?userId=${userId}`)
            return ((await response.json()) as { readonly accessToken: string }).accessToken
          })
      } as Library
      const syncing = Effect.gen(function* () {
        const [ada, bob] = yield* openClients(["ada", "bob"], { library })
        yield* ada.put({ content: "by a dev token" })
        yield* bob.until("it has it", ([item]) => item?.content === "by a dev token")
      })
      await Effect.runPromise(Effect.scoped(syncing))
      assert.strictEqual((await served.stop("SIGTERM")).code, 0)
    })
  })
}

describe("serve --dev", () => {
  it("serve --dev serves clients with Verdant's cliSync, unmodified", async () => {
    const stored = new Map<string, string>()
    vi.stubGlobal("localStorage", {
      getItem: (key: string) => stored.get(key) ?? null,
      setItem: (key: string, value: string) => void stored.set(key, value)
    })
    const served = await serve(["--dev"], { cwd: freshFolder() })
    const { authEndpoint } = cliSync("notes", { port: served.port })
    assert.match(authEndpoint, /^http:\/\/localhost:\d+\/auth\/notes\?userId=user-/)
    const library = {
      id: "notes",
      endpoint: "",
      token: () =>
        Effect.promise(async () => {
          const response = await fetch(authEndpoint)
          return ((await response.json()) as { readonly accessToken: string }).accessToken
        })
    } as unknown as Library
    const syncing = Effect.gen(function* () {
      const [phone, laptop] = yield* openClients(["phone", "laptop"], { library })
      yield* phone.put({ content: "by cliSync" })
      yield* laptop.until("it has it", ([item]) => item?.content === "by cliSync")
    })
    await Effect.runPromise(Effect.scoped(syncing))
    await served.stop("SIGTERM")
    vi.unstubAllGlobals()
  })

  it("returns a token for the requested user, library and type, to pages of this machine alone", async () => {
    const cwd = freshFolder()
    const served = await serve(["--dev"], { cwd })
    const base = `http://127.0.0.1:${served.port}`
    const ask = (path: string) => fetch(base + path, { headers: { origin: "http://localhost:5173" } })
    const evil = await fetch(`${base}/auth/notes?user=ada`, { headers: { origin: "http://app.test" } })
    assert.strictEqual(evil.status, 403)
    for (const [path, claims] of [
      ["/auth/notes?user=ada&type=5", { lib: "notes", sub: "ada", type: 5 }],
      ["/auth/my%20notes%21?userId=b%C3%B6b", undefined],
      ["/auth/notes%21?userId=b%C3%B6b", { lib: "notes!", sub: "böb", type: 0 }],
      ["/auth/notes", undefined],
      ["/auth/@server?user=ada", undefined],
      ["/auth/notes?user=", undefined],
      ["/auth/notes?user=ada&type=6", undefined],
      ["/auth/notes?user=ada&type=realtime", undefined],
      [`/auth/notes?user=${"a".repeat(201)}`, undefined],
      [`/auth/${"a".repeat(200)}?user=ada`, { lib: "a".repeat(200), sub: "ada", type: 0 }],
      [`/auth/${"a".repeat(201)}?user=ada`, undefined]
    ] as const) {
      const response = await ask(path)
      const body = (await response.json()) as Record<string, string>
      assert.strictEqual(response.headers.get("access-control-allow-origin"), "http://localhost:5173", path)
      assert.strictEqual(response.headers.get("access-control-allow-credentials"), "true", path)
      assert.strictEqual(response.status, claims === undefined ? 400 : 200, path)
      if (claims === undefined) {
        assert.isString(body["error"], path)
      } else {
        const found = JSON.parse(Buffer.from(body["accessToken"]!.split(".")[1]!, "base64url").toString())
        assert.deepInclude(found, { ...claims, url: `${base}/verdant` }, path)
      }
    }
    await served.stop("SIGTERM")
  })

  it("is the only mode that returns tokens without authentication", async () => {
    const served = await serve([], { cwd: freshFolder() })
    assert.strictEqual((await fetch(`http://127.0.0.1:${served.port}/auth/notes?user=ada`)).status, 404)
    await served.stop("SIGTERM")
  })
})

describe("serve", () => {
  it("takes its settings for Verdant from flags and variables, and links files at its public URL", async () => {
    const secret = "a-secret-that-only-tests-have-0123456789"
    const env = { TOKEN_SECRET: secret, SEALOG_KEEP_FILES: "3d", SEALOG_COMPACT_AFTER: "1" }
    const flags = ["--truancy", "1s", "--public-url", "https://sync.example.org/base/"]
    const served = await serve(flags, { cwd: freshFolder(), env })
    const library = libraryOn({ url: `ws://127.0.0.1:${served.port}` })
    const syncing = Effect.gen(function* () {
      const ada = yield* openClient({ library, user: "ada" })
      yield* ada.put({ image: new File(["the picture"], "picture.txt", { type: "text/plain" }) })
      yield* until("it is uploaded", () => ada.network.uploads() === 1)
      const sent = JSON.stringify(ada.network.sent)
      const fileId = /"@@type":"file","id":"([^"]+)"/.exec(sent)?.[1]
      const token = yield* library.token({ userId: "ada" })
      const info = yield* Effect.promise(async () => {
        const headers = { authorization: `Bearer ${token}` }
        return (await fetch(`${library.endpoint}/files/${fileId}`, { headers })).json()
      })
      assert.match((info as { readonly url: string }).url, /^https:\/\/sync\.example\.org\/base\/verdant\/files\//)
    })
    await Effect.runPromise(Effect.scoped(syncing))
    await served.stop("SIGTERM")
  })

  it("refuses a setting that it cannot take, with what to try", async () => {
    for (const [flag, value, code] of [
      ["--truancy", "a week", "DURATION_INVALID"],
      ["--keep-files", "0d", "DURATION_INVALID"],
      ["--compact-after", "0", "COMPACT_AFTER_INVALID"],
      ["--public-url", "sync.example.org", "PUBLIC_URL_INVALID"]
    ] as const) {
      const ran = await run(["serve", "--dev", "--port", "0", flag, value, "--json"], { cwd: freshFolder() })
      assert.deepStrictEqual([ran.code, errorOf(ran).code], [2, code])
    }
  })
})

describe("a damaged log", () => {
  it("is reported by every command that reads Verdant data", async () => {
    const cwd = freshFolder()
    mkdirSync(join(cwd, "data"))
    const filename = join(cwd, "data", "sealog.db")
    const { adasReplica, id } = await Effect.runPromise(fill(`sqlite:${filename}`))
    const db = new DatabaseSync(filename)
    db.exec("UPDATE payloads SET payload = x'00'")
    db.close()
    for (const args of [
      ["library", "show", "notes"],
      ["document", "show", "notes", `item/${id}`],
      ["replica", "list", "notes"],
      ["replica", "truant", "notes", adasReplica]
    ]) {
      const ran = await run([...args, "--json"], { cwd })
      assert.deepStrictEqual([ran.code, errorOf(ran).code], [1, "LIBRARY_DAMAGED"], args.join(" "))
      assert.strictEqual(errorOf(ran).try, "sync-admin replay --library notes")
    }
    assert.include((await run(["library", "show", "notes"], { cwd })).stderr, "[LIBRARY_DAMAGED]\nTry: ")
    const replayed = await run(["replay", "--library", "notes"], { cwd })
    assert.strictEqual(replayed.code, 1)
    assert.match(replayed.stdout, /^notes\/@verdant version \d+: payload-changed: /)
    assert.strictEqual((await run(["library", "list"], { cwd })).code, 0)
  })
})
