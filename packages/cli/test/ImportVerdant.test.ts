/** `import verdant` by the built binary, on each storage. */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { storages } from "../../../test/support/postgres.ts"
import { initialize, makeReplica } from "../../../test/support/verdant/Replica.ts"
import { type Shard, writeShard } from "../../../test/support/verdant/shards.ts"
import { errorOf, freshFolder, jsonOf, run } from "./support.ts"

const { id, operation } = makeReplica()
const shard = (items: number): Shard => ({
  replicas: [{ id, lastSeenWallClockTime: Date.now(), ackedServerOrder: items }],
  operations: Array.from({ length: items }, (_, i) => ({
    ...operation(`item/${i}`, initialize({ id: String(i), text: "x".repeat(500) })),
    ...{ replicaId: id, serverOrder: i + 1 }
  }))
})

for (const { name, fresh } of storages) {
  describe(name, () => {
    const scope = Scope.makeUnsafe()
    const cwd = freshFolder()
    let database = ""
    const sealog = (...args: ReadonlyArray<string>) =>
      run(args, { cwd, env: { DATABASE_URL: database }, terminal: ["stderr"] })
    const folder = () => mkdtempSync(join(cwd, "verdant-"))

    beforeAll(async () => {
      database = await Effect.runPromise(Scope.provide(fresh, scope))
    })
    afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

    it("says what it would do, does it, and leaves alone what is there", async () => {
      const directory = folder()
      for (const library of ["notes", "plans"]) writeShard(directory, library, shard(5000))
      const imported = {
        ...{ libraryId: "notes", outcome: "imported", detail: null },
        ...{ operations: 5000, baselines: 0, replicas: 1, lapsed: 0, malformed: 0 }
      }
      const dry = await sealog("import", "verdant", directory, "--dry-run", "--json")
      assert.strictEqual(dry.code, 0, dry.stderr)
      const both = [imported, { ...imported, libraryId: "plans" }]
      assert.deepStrictEqual(jsonOf("import-verdant", dry), { dryRun: true, libraries: both })
      assert.include((await sealog("library", "list")).stdout, "No libraries")

      const one = await sealog("import", "verdant", directory, "--library", "notes")
      assert.deepStrictEqual(
        [one.code, one.stdout],
        [0, "notes: 5,000 operations, 0 baselines, 1 replica\nImported 1 of 1 file.\n"]
      )
      assert.match(one.stderr, /import verdant \(libraries\) █+ 1\/1/)
      const all = await sealog("import", "verdant", directory, "--json")
      assert.strictEqual(all.code, 1)
      const outcomes = (jsonOf("import-verdant", all)["libraries"] as ReadonlyArray<{ outcome: string }>).map(
        ({ outcome }) => outcome
      )
      assert.deepStrictEqual(outcomes, ["present", "imported"])
      const replay = jsonOf("replay", await sealog("replay", "--json"))
      assert.deepInclude(replay, { streams: 2, events: 2, payloads: 2, problemCount: 0 })
    })

    it("ends with exit code 1 when something of a library was left out, and 2 when it is told nonsense", async () => {
      const directory = folder()
      const [first, ...rest] = shard(3).operations!
      writeShard(directory, `library-${name}`, { operations: [{ ...first!, data: "no JSON" }, ...rest] })
      const ran = await sealog("import", "verdant", directory)
      assert.strictEqual(ran.code, 1)
      assert.include(
        ran.stdout,
        "2 operations, 0 baselines, 0 replicas; left out 1 malformed item\nImported 1 of 1 file."
      )
      writeFileSync(join(directory, "bad.sqlite"), "no database, but long enough to be looked at as one")
      const bad = await sealog("import", "verdant", directory, "--library", "bad")
      assert.deepStrictEqual([bad.code, bad.stdout.split("\n").at(-2)], [1, "Imported 0 of 1 file."])
      assert.match(bad.stdout, /^bad: unreadable: .+\n/)

      mkdirSync(join(directory, "empty"))
      for (const [args, code, error] of [
        [[join(directory, "empty")], 1, "NO_SUCH_LIBRARY"],
        [[directory, "--library", "other"], 1, "NO_SUCH_LIBRARY"],
        [[join(directory, "nowhere")], 2, "NO_SUCH_DIRECTORY"],
        [[directory, "--truancy", "soon"], 2, "DURATION_INVALID"],
        [[], 2, "USAGE"]
      ] as const) {
        const ran = await sealog("import", "verdant", ...args, "--json")
        assert.deepStrictEqual([ran.code, errorOf(ran).code], [code, error], args.join(" "))
      }
    })

    it("leaves `import` the command that it is", async () => {
      const ran = await run(["import"], { cwd, env: { DATABASE_URL: database }, stdin: "nonsense\n" })
      assert.strictEqual(ran.code, 1)
      assert.include(ran.stderr, "LINE_REFUSED")
    })
  })
}
