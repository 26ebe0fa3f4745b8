/** The next version of `sync-admin`: a copy of this build with one more migration, which expands the schema of Postgres. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, type Scope } from "effect"

const cli = join(import.meta.dirname, "../../packages/cli")

/** The migration that the next version has, and this one does not. */
export const NEXT_MIGRATION = "of_the_next_version"

const STATEMENTS = [
  "ALTER TABLE sealog.streams ADD COLUMN later text",
  "CREATE TABLE sealog.later (id bigint PRIMARY KEY)"
]

/** Returns the path of its program, which exists until the scope closes. */
export const nextBuild: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = mkdtempSync(join(tmpdir(), "sealog-next-"))
    for (const name of ["bin", "bundle", "package.json", "oclif.manifest.json"]) {
      cpSync(join(cli, name), join(folder, name), { recursive: true })
    }
    symlinkSync(join(cli, "node_modules"), join(folder, "node_modules"))
    addMigration(join(folder, "bundle/chunks"))
    return folder
  }),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
).pipe(Effect.map((folder) => join(folder, "bin/sync-admin.js")))

const addMigration = (chunks: string): void => {
  for (const name of readdirSync(chunks)) {
    const file = join(chunks, name)
    const text = readFileSync(file, "utf8")
    // The words of another migration, as the bundler has written them.
    const head = /const refuseChanges = ([\w.$]+\(function\* \(\) \{\s*const sql = yield\* [\w.$]+;)/.exec(text)?.[1]
    const last = /"0002_numbered_streams": numberedStreams\b/
    if (head === undefined || !last.test(text)) continue
    const body = STATEMENTS.map((statement) => `yield* sql.unsafe(${JSON.stringify(statement)});`).join(" ")
    writeFileSync(
      file,
      text.replace(last, (found) => `${found}, "0003_${NEXT_MIGRATION}": ${head} ${body} })`)
    )
    return
  }
  throw new Error("The bundle has no list of migrations where this looks for it. Try: pnpm build")
}
