/**
 * Before tsc: the SQLite driver, patched (see patches/ and docs/decisions/0001-sqlite-driver.md), is copied into the
 * package that uses it, with its licence. A pnpm patch does not reach those who install the package.
 */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const from = "packages/storage-sqlite/node_modules/@effect/sql-sqlite-node"
const to = "packages/storage-sqlite/driver"

rmSync(to, { recursive: true, force: true })
mkdirSync(to, { recursive: true })
cpSync(join(from, "LICENSE"), join(to, "LICENSE"))
for (const file of ["SqliteClient.js", "SqliteClient.d.ts"]) {
  // Without the source map's address: the map is of the driver as it was before the patch.
  const text = readFileSync(join(from, "dist", file), "utf8").replace(/\n\/\/# sourceMappingURL=.*/, "")
  writeFileSync(join(to, file), text)
}
