/** The commands that maintain a log, on each storage, without a terminal. */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { PgStorage } from "@sealog/storage-pg"
import { Effect, Exit, Scope } from "effect"
import { SqlClient } from "effect/sql"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { freePort } from "#test-support/network/freePort"
import { layerOf, storages } from "#test-support/storage/databases"
import { errorOf, freshFolder, jsonOf, run, serve, storeDocument } from "./support.ts"

for (const { name, fresh } of storages) {
  describe(name, () => {
    const scope = Scope.makeUnsafe()
    const cwd = freshFolder()
    let database = ""
    const sealog = (...args: ReadonlyArray<string>) => run(args, { cwd, env: { DATABASE_URL: database } })

    beforeAll(async () => {
      database = await Effect.runPromise(Scope.provide(fresh, scope))
      await Effect.runPromise(Effect.provide(storeDocument(3), layerOf(database)))
    })
    afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

    it("stats counts the log and lists the largest library and document", async () => {
      const stats = jsonOf("stats", await sealog("stats", "--json"))
      assert.deepInclude(stats, { libraries: 1, documents: 1, evictedDocuments: 0, events: 4, payloads: 4 })
      assert.deepStrictEqual(stats["largestDocuments"], [
        { libraryId: "notes", documentId: "welcome", payloadBytes: stats["payloadBytes"] }
      ])
      assert.isAbove(Number(stats["diskBytes"]), 0)
      const text = (await sealog("stats")).stdout
      assert.match(text, /documents +1\n/)
      assert.match(text, /notes\/welcome +[\d.]+ k?B/)
      const other = await sealog("stats", "--library", "other", "--json")
      assert.deepStrictEqual([other.code, errorOf(other).code], [1, "NO_SUCH_LIBRARY"])
    })

    it("document list sorts and limits", async () => {
      const listed = jsonOf("document-list", await sealog("document", "list", "notes", "--json"))
      assert.strictEqual(listed["total"], 1)
      assert.deepInclude((listed["documents"] as ReadonlyArray<object>)[0], { documentId: "welcome", version: 4 })
      for (const sort of ["changed", "size", "events", "name"]) {
        assert.match((await sealog("document", "list", "notes", "--sort", sort, "--limit", "1")).stdout, /welcome +4 /)
      }
      const unknown = await sealog("document", "list", "nowhere", "--json")
      assert.deepStrictEqual([unknown.code, errorOf(unknown).code], [1, "NO_SUCH_LIBRARY"])
    })

    it("prune deletes nothing if no payload is superseded, and refuses wrong usage", async () => {
      for (const args of [["notes"], ["--all"], ["notes", "--document", "welcome", "--keep-snapshots", "2"]]) {
        const ran = await sealog("prune", ...args, "--older-than", "0s", "--yes")
        assert.deepStrictEqual([ran.code, ran.stdout], [0, "Nothing to prune.\n"])
      }
      for (const args of [[], ["notes", "--all"], ["notes", "--keep-snapshots", "0"]]) {
        const ran = await sealog("prune", ...args, "--json")
        assert.deepStrictEqual([ran.code, errorOf(ran).code], [2, "USAGE"], args.join(" "))
      }
      const soon = await sealog("prune", "notes", "--older-than", "soon", "--json")
      assert.deepStrictEqual([soon.code, errorOf(soon).code], [2, "TIME_INVALID"])
    })

    it("doctor passes a healthy log, and fails a tampered or missing log and a short secret", async () => {
      const free = String(await freePort())
      const well = await sealog("doctor", "--port", free, "--json")
      const { findings, healthy } = jsonOf("doctor", well) as {
        findings: ReadonlyArray<{ check: string; state: string }>
        healthy: boolean
      }
      assert.deepStrictEqual([well.code, healthy], [0, true], JSON.stringify(findings))
      const stateOf = (check: string) => findings.find((finding) => finding.check === check)?.state
      for (const check of ["database", "migrations", "append-only", "durability", "keys", "port", "node"]) {
        assert.strictEqual(stateOf(check), "ok", check)
      }
      // The test connects as a superuser, who has more rights than a server should have.
      if (name === "Postgres") assert.strictEqual(stateOf("rights"), "warn")

      const served = await serve(["--database", database], { cwd })
      assert.match((await sealog("doctor", "--port", String(served.port))).stdout, /ok +port +a server answers/)
      await served.stop("SIGTERM")

      await tamper(database)
      const sick = await run(["doctor", "--port", free], {
        cwd,
        env: { DATABASE_URL: database, TOKEN_SECRET: "short" }
      })
      assert.strictEqual(sick.code, 1)
      assert.match(sick.stdout, /FAIL append-only .*\n +Try: +/)
      assert.match(sick.stdout, /FAIL keys .*shorter.*\n +Try: +/)
      const url = name === "SQLite" ? "sqlite:./not/there.db" : "postgres://sealog:a-password@127.0.0.1:1/none"
      const away = await run(["doctor", "--port", free, "--json"], { cwd, env: { DATABASE_URL: url } })
      assert.strictEqual(away.code, 1)
      assert.isFalse(jsonOf("doctor", away)["healthy"])
      assert.notInclude(away.stdout + away.stderr, "a-password")
    })
  })
}

/** Removes the trigger that keeps events from being changed. */
const tamper = async (database: string): Promise<void> => {
  if (database.startsWith("sqlite:")) {
    const file = new DatabaseSync(database.slice("sqlite:".length))
    file.exec("DROP TRIGGER events_are_not_changed")
    file.close()
    return
  }
  const disable = Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => sql`ALTER TABLE sealog.events DISABLE TRIGGER events_are_not_changed`
  )
  await Effect.runPromise(Effect.provide(disable, PgStorage.layerClient({ url: database })))
}

describe("shell completion", () => {
  it("completes commands in bash", async () => {
    const cwd = freshFolder()
    const made = await run(["autocomplete", "bash"], { cwd })
    assert.strictEqual(made.code, 0, made.stderr)
    const script = join(cwd, ".cache", "sync-admin", "autocomplete", "functions", "bash", "sync-admin.bash")
    assert.isTrue(existsSync(script), made.stdout)
    const completed = spawnSync(
      "bash",
      [
        "-c",
        `source "${script}"; COMP_WORDS=(sync-admin library ""); COMP_CWORD=2; _sync-admin_autocomplete sync-admin "" library; echo "\${COMPREPLY[@]}"`
      ],
      { cwd, env: { ...process.env, HOME: cwd } }
    )
    assert.include(completed.stdout.toString(), "list", completed.stderr.toString())
    assert.include(completed.stdout.toString(), "show")
  })
})
