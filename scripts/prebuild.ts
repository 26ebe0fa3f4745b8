/**
 * Runs before tsc: copies the patched SQLite driver, with its licence, into the package that uses it. A pnpm patch does not
 * reach the users who install the package (see patches/ and docs/decisions/0001-sqlite-driver.md).
 */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const from = "packages/storage-sqlite/node_modules/@effect/sql-sqlite-node"
const to = "packages/storage-sqlite/driver"

rmSync(to, { recursive: true, force: true })
mkdirSync(to, { recursive: true })
cpSync(join(from, "LICENSE"), join(to, "SqliteClient.LICENSE"))
for (const file of ["SqliteClient.js", "SqliteClient.d.ts"]) {
  // Drops the address of the source map, because the map describes the driver before the patch.
  const text = readFileSync(join(from, "dist", file), "utf8").replace(/\n\/\/# sourceMappingURL=.*/, "")
  writeFileSync(join(to, file), text)
}
