/**
 * The table of streams and its index, which are checked before a server answers. A stream that the index does not name any more looks
 * like one that nobody has begun: its clients would be served nothing, and would begin it again.
 */
import { LogDamaged } from "@sealog/server/ports"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

const REMEDY =
  "keep a copy of the file; `REINDEX streams`, which makes the index again, or put a backup back (docs/damage.md)"

/** Dies of `LogDamaged` if they are not sound. A million streams take about a second. */
export const requireSoundStreams = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [first] = yield* sql<{ quick_check: string }>`PRAGMA quick_check('streams')`
  if (first === undefined || first.quick_check === "ok") return
  return yield* Effect.die(
    new LogDamaged({ detail: `the list of streams: ${first.quick_check.replaceAll("\n", " ")}; ${REMEDY}` })
  )
})
