/** Evicts a library by the command line, a process besides the server. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { runCommand } from "../servers/ServerProcess.ts"

/** Returns the evicted documents. */
export const evict = Effect.fnUntraced(function* (database: string, libraryId: string) {
  const { exitCode, stdout, stderr } = yield* runCommand(database, "evict", libraryId, "--yes")
  assert.strictEqual(exitCode, 0, stdout + stderr)
  return JSON.parse(stdout).documents as ReadonlyArray<{ readonly documentId: string }>
})
