import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { eventLogSuite } from "@sealog/server/testing"
import { SqliteStorage } from "../src/index.ts"

eventLogSuite("SQLite, in memory", SqliteStorage.layer({ filename: ":memory:" }))

eventLogSuite(
  "SQLite, in a file",
  SqliteStorage.layer({ filename: join(mkdtempSync(join(tmpdir(), "sealog-")), "new", "log.db") })
)
