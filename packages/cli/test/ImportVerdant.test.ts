/** `import verdant` with the built binary, on each storage. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { storages } from "#test-support/storage/databases"
import { initialize, makeReplica } from "#test-support/verdant/Replica"
import { type Shard, writeFileOf, writeShard } from "#test-support/verdant/shards"
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

    it("imports what --dry-run showed, and leaves libraries alone that are in the log", async () => {
      const directory = folder()
      for (const library of ["notes", "plans"]) writeShard(directory, library, shard(5000))
      const imported = {
        ...{ libraryId: "notes", outcome: "imported", detail: null },
        ...{ operations: 5000, baselines: 0, replicas: 1, lapsed: 0, malformed: 0 },
        ...{ files: 0, fileBytes: 0, filesLeftOut: 0 }
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

    // The rest of the commands is the same on each storage.
    if (name !== "SQLite") return

    it("exits with 1 if an item was left out, and with 2 on wrong usage", async () => {
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

    it("copies each uploaded file once, also for a library that was imported before", async () => {
      const [directory, from, to] = [folder(), folder(), join(folder(), "files")]
      const library = `files-${name}`
      const stored = () =>
        readdirSync(to, { recursive: true, encoding: "utf8" }).filter((name) => /^[^.].*[/]/.test(name))
      const files = [
        { fileId: "one", name: "picture.png", type: "image/png" },
        { fileId: "two", name: "größer.txt", type: "text/plain", pendingDeleteAt: 1 },
        { fileId: "missing", name: "x", type: "text/plain" },
        // Paths that lead out of the file's own folder, to files that exist.
        { fileId: "out", name: "../../../secret", type: "text/plain" },
        { fileId: "inside", name: "../one/picture.png", type: "text/plain" },
        { fileId: "../one", name: "picture.png", type: "text/plain" },
        { fileId: "folder", name: ".", type: "text/plain" }
      ]
      const [one, two, , , inside, , aFolder] = files
      writeShard(directory, library, { ...shard(3), files })
      writeFileOf(from, library, one!, "one")
      writeFileOf(from, library, two!, "twotwo")
      writeFileOf(from, library, { ...inside!, name: "another" }, "x")
      writeFileOf(from, library, { ...aFolder!, name: "another" }, "x")
      writeFileSync(join(from, "..", "secret"), "secret")
      const options = ["--files-from", from, "--files", to, "--json"]
      const importing = async (...options: ReadonlyArray<string>) => {
        const ran = await sealog("import", "verdant", directory, ...options)
        assert.strictEqual(ran.code, 1, ran.stderr)
        return (jsonOf("import-verdant", ran)["libraries"] as ReadonlyArray<object>)[0]!
      }
      const all = { files: 2, fileBytes: 9, filesLeftOut: 5 }
      assert.deepInclude(await importing(...options, "--dry-run"), { outcome: "imported", ...all })
      assert.isFalse(existsSync(to))
      // Without --files-from the files are left out; a later run can copy them.
      assert.deepInclude(await importing("--json"), { ...all, files: 0, fileBytes: 0, filesLeftOut: 7 })
      assert.deepInclude(await importing(...options), { outcome: "present", ...all })
      assert.strictEqual(stored().length, 2)
      const before = stored()
      assert.deepInclude(await importing(...options), { ...all, files: 0, fileBytes: 0 })
      assert.deepStrictEqual(stored(), before)
      const shown = jsonOf("events", await sealog("events", library, "@verdant", "--json"))
      const types = (shown["events"] as ReadonlyArray<{ type: string }>).map(({ type }) => type)
      assert.deepStrictEqual(types, ["Folded", "FileStored", "FileStored"])

      const another = folder()
      writeShard(another, `whole-${name}`, { ...shard(1), files: [one!] })
      writeFileOf(from, `whole-${name}`, one!, "one")
      const whole = await sealog("import", "verdant", another, "--files-from", from, "--files", to)
      assert.deepStrictEqual(
        [whole.code, whole.stdout],
        [0, `whole-${name}: 1 operation, 0 baselines, 1 replica, 1 file of 3 B\nImported 1 of 1 file.\n`]
      )
      const text = await sealog("import", "verdant", directory)
      assert.include(text.stdout, `${library}: present: the log has Verdant data of this library\n`)
      const nowhere = await sealog("import", "verdant", directory, "--files-from", join(from, "nowhere"), "--json")
      assert.deepStrictEqual([nowhere.code, errorOf(nowhere).code], [2, "NO_SUCH_DIRECTORY"])
    })

    it("does not change the command `import`", async () => {
      const ran = await run(["import"], { cwd, env: { DATABASE_URL: database }, stdin: "nonsense\n" })
      assert.strictEqual(ran.code, 1)
      assert.include(ran.stderr, "LINE_REFUSED")
    })
  })
}
