/**
 * The table of streams and its index, which are checked before a server answers. A stream that the index does not name any more looks
 * like one that nobody has begun: its clients would be served nothing, and would begin it again.
 */
import { LogDamaged } from "@sealog/server/ports"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/** Problems of an index whose table is sound. */
const OF_INDEX = /missing from index|wrong # of entries in index|non-unique entry in index/

const remedyOf = (problem: string): string =>
  OF_INDEX.test(problem)
    ? "keep a copy of the file, and make the index again: `REINDEX streams` (docs/damage.md)"
    : "keep a copy of the file, and put a backup back (docs/damage.md)"

/** Dies of `LogDamaged` if they are not sound. A million streams take about two seconds. */
export const requireSoundStreams = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  // It compares the index with the table as well, which `quick_check` does not.
  const [first] = yield* sql<{ integrity_check: string }>`PRAGMA integrity_check('streams')`
  if (first === undefined || first.integrity_check === "ok") return
  const problem = first.integrity_check.replaceAll("\n", " ")
  return yield* Effect.die(new LogDamaged({ detail: `the list of streams: ${problem}; ${remedyOf(problem)}` }))
})
