/** An eviction by somebody else than the server: a process of its own. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { runCommand } from "../servers/ServerProcess.ts"

/** The documents that were evicted. */
export const evict = Effect.fnUntraced(function* (database: string, libraryId: string) {
  const { exitCode, stdout, stderr } = yield* runCommand(database, "evict", libraryId, "--yes")
  assert.strictEqual(exitCode, 0, stdout + stderr)
  return JSON.parse(stdout).documents as ReadonlyArray<{ readonly documentId: string }>
})
