/** The commands that read or change a log, on each storage, without a terminal. */
import { Effect, Exit, Scope } from "effect"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { emptyDatabase, layerOf, storages } from "#test-support/storage/databases"
import { errorOf, freshFolder, jsonOf, run, serve, storeDocument } from "./support.ts"

for (const { name, fresh } of storages) {
  describe(name, () => {
    const scope = Scope.makeUnsafe()
    const cwd = freshFolder()
    let database = ""
    const sealog = (...args: ReadonlyArray<string>) => run(args, { cwd, env: { DATABASE_URL: database } })
    /** Runs a command twice: for people, and with `--json` against its schema. */
    const both = async (schema: string, ...args: ReadonlyArray<string>) => {
      const told = await sealog(...args)
      assert.strictEqual(told.code, 0, told.stderr)
      assert.isNotEmpty(told.stdout)
      const json = await sealog(...args, "--json")
      assert.strictEqual(json.code, 0, json.stderr)
      return { text: told.stdout, json: jsonOf(schema, json) }
    }

    beforeAll(async () => {
      database = await Effect.runPromise(Scope.provide(fresh, scope))
      await Effect.runPromise(Effect.provide(storeDocument(3), layerOf(database)))
    })
    afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

    it("library list, library show, document show and replay report the log's content", async () => {
      assert.lengthOf((await both("library-list", "library", "list")).json["libraries"] as [], 1)
      assert.strictEqual((await both("library-show", "library", "show", "notes")).json["events"], 4)
      assert.strictEqual((await both("document-show", "document", "show", "notes", "welcome")).json["updates"], 3)
      assert.deepInclude((await both("replay", "replay")).json, { events: 4, problemCount: 0 })
    })

    it("suspend, resume and token revoke change the log once and report a repeat", async () => {
      const [first, again] = [await sealog("suspend", "notes"), await sealog("suspend", "notes", "--json")]
      assert.deepStrictEqual([first.code, first.stdout], [0, "Suspended notes.\n"])
      assert.isFalse(jsonOf("suspend", again)["changed"])
      const suspended = await both("library-show", "library", "show", "notes")
      assert.isTrue(suspended.json["suspended"])
      assert.include(suspended.text, "notes (suspended)")
      assert.strictEqual((await both("resume", "resume", "notes")).text, "Resumed notes.\n")
      for (const args of [["1234"], ["1234", "--library", "notes"], ["--user", "ada"], ["--library", "notes"]]) {
        assert.isTrue(jsonOf("token-revoke", await sealog("token", "revoke", ...args, "--json"))["changed"])
        assert.match((await sealog("token", "revoke", ...args)).stdout, /evoked/)
      }
      for (const args of [[], ["1234", "--user", "ada"], ["a.b.c"], ["--user", ""]]) {
        const ran = await sealog("token", "revoke", ...args, "--json")
        assert.deepStrictEqual([ran.code, errorOf(ran).code], [2, "USAGE"], args.join(" "))
      }
      assert.strictEqual(jsonOf("replay", await sealog("replay", "--json"))["problemCount"], 0)
      // Revocations for all libraries are stored in the log, and that stream is no library.
      assert.lengthOf((await both("library-list", "library", "list")).json["libraries"] as [], 1)
    })

    it("library quota sets parts, takes all back, and shows the rest as the server's", async () => {
      const set = async (...args: ReadonlyArray<string>) =>
        jsonOf("library-quota", await sealog("library", "quota", "notes", ...args, "--json"))
      const before = await set()
      assert.isFalse(before["changed"])
      assert.isTrue(Object.values(before["quota"] as object).every((part) => part === null))
      const changed = await set("--objects", "5", "--document-bytes", "2MiB")
      assert.deepInclude(changed["quota"], { objects: 5, bytes: null, documentBytes: 2 * 1024 * 1024 })
      assert.isFalse((await set("--objects", "5"))["changed"])
      assert.deepInclude((await set("--bytes", "1000"))["quota"], { objects: 5, bytes: 1000 })
      const shown = (await both("library-quota", "library", "quota", "notes")).text
      assert.match(shown, /^QUOTA +AT MOST +IN USE\nobjects +5 +0\n/)
      assert.match(shown, /\nreplicas +server's \(default: 10,000\) +0\n/)
      const reset = await set("--default")
      assert.isTrue(reset["changed"])
      assert.isTrue(Object.values(reset["quota"] as object).every((part) => part === null))
      assert.isFalse((await set("--default"))["changed"])
      for (const [args, exit, code] of [
        [["notes", "--default", "--objects", "1"], 2, "USAGE"],
        [["notes", "--objects", "-1"], 2, "USAGE"],
        [["notes", "--document-authors", "1001"], 2, "USAGE"],
        [["notes", "--bytes", "many"], 2, "SIZE_INVALID"],
        [["nothing"], 1, "NO_SUCH_LIBRARY"]
      ] as const) {
        const ran = await sealog("library", "quota", ...args, "--json")
        assert.deepStrictEqual([ran.code, errorOf(ran).code], [exit, code], args.join(" "))
      }
      assert.strictEqual(jsonOf("replay", await sealog("replay", "--json"))["problemCount"], 0)
    })

    it("evict deletes what --dry-run showed, once", async () => {
      const planned = await both("evict", "evict", "notes", "--dry-run")
      assert.include(planned.text, "1 document")
      const done = jsonOf("evict", await sealog("evict", "notes", "--yes", "--json"))
      assert.strictEqual(done["payloadBytes"], planned.json["payloadBytes"])
      assert.include((await sealog("evict", "notes", "--yes")).stdout, "Nothing to evict")
      assert.strictEqual(jsonOf("replay", await sealog("replay", "--json"))["problemCount"], 0)
    })

    it("tells a deleted document from an evicted one, until it is allowed again", async () => {
      const states = async () => {
        const { documents } = jsonOf("document-list", await sealog("document", "list", "notes", "--json"))
        type Listed = { readonly documentId: string; readonly deleted: boolean; readonly evicted: boolean }
        return Object.fromEntries(
          (documents as ReadonlyArray<Listed>).map(({ deleted, documentId, evicted }) => [
            documentId,
            deleted ? "deleted" : evicted ? "evicted" : "open"
          ])
        )
      }
      await sealog("document", "create", "notes", "plans")
      assert.deepStrictEqual(await states(), { welcome: "evicted", plans: "open" })
      assert.strictEqual((await sealog("delete", "notes", "--document", "plans", "--yes")).code, 0)
      assert.deepStrictEqual(await states(), { welcome: "evicted", plans: "deleted" })
      const { stdout } = await sealog("document", "list", "notes")
      assert.match(stdout, /^plans +2 +deleted/m)
      assert.match(stdout, /^welcome +\d+ +evicted/m)
      assert.include((await sealog("document", "show", "notes", "plans")).stdout, "state       deleted")
      assert.include((await sealog("document", "show", "notes", "welcome")).stdout, "state       evicted")
      assert.strictEqual((await sealog("delete", "notes", "--document", "plans", "--allow-again")).code, 0)
      assert.deepStrictEqual(await states(), { welcome: "evicted", plans: "open" })
      assert.strictEqual((await sealog("document", "create", "notes", "plans")).code, 0)
      assert.deepStrictEqual(await states(), { welcome: "evicted", plans: "open" })
    })

    it("serve answers until a signal stops it", async () => {
      const served = await serve(["--database", database], { cwd })
      const health = await fetch(`http://127.0.0.1:${served.port}/healthz`)
      assert.strictEqual(health.status, 200)
      assert.strictEqual((await served.stop("SIGTERM")).code, 0)
    })

    it("reports an unreachable storage with exit code 3 and without its password", async () => {
      const url = name === "SQLite" ? "sqlite:./not/there.db" : "postgres://sealog:a-password@127.0.0.1:1/none"
      const ran = await run(["library", "list", "--json"], { cwd, env: { DATABASE_URL: url } })
      assert.deepStrictEqual([ran.code, errorOf(ran).code], [3, "STORAGE_UNAVAILABLE"])
      assert.notInclude(ran.stdout + ran.stderr, "a-password")
    })
  })
}

describe("migrate on Postgres", () => {
  it("creates the tables, grants a role its rights, and reports both", async () => {
    const cwd = freshFolder()
    await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const env = { DATABASE_URL: yield* emptyDatabase }
          const sealog = (...args: ReadonlyArray<string>) => Effect.promise(() => run(args, { cwd, env }))
          const before = jsonOf("migrate", yield* sealog("migrate", "--dry-run", "--json"))
          assert.deepStrictEqual(before["migrations"], [
            { id: 1, name: "log", applied: false },
            { id: 2, name: "numbered_streams", applied: false }
          ])
          const early = yield* sealog("library", "list", "--json")
          assert.strictEqual(early.code, 3)
          assert.include(errorOf(early).try ?? "", "sync-admin migrate")
          const first = yield* sealog("migrate", "--grant-to", "pg_monitor")
          assert.deepStrictEqual([first.code, first.stdout], [0, "Applied 1 log, 2 numbered_streams.\n"])
          assert.include((yield* sealog("migrate", "--status")).stdout, "applied")
          const unknown = yield* sealog("migrate", "--grant-to", 'no "such" role', "--json")
          assert.strictEqual(unknown.code, 3)
          assert.include(errorOf(unknown).message, "does not exist")
        })
      )
    )
  })

  it("refuses --grant-to on SQLite, which has no roles", async () => {
    const ran = await run(["migrate", "--grant-to", "somebody", "--json"], { cwd: freshFolder() })
    assert.deepStrictEqual([ran.code, errorOf(ran).code], [2, "NO_ROLES"])
  })
})
