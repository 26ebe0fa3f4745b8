/**
 * A stream that the index of the streams does not name looks like one that nobody has begun: its clients would be served nothing, and
 * would begin it again. A page of the index that was written by half loses names, and SQLite does not say so.
 */
import { LogDamaged, type StreamKey } from "@sealog/server/ports"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/**
 * The nearest stream on one side of a library and a stream, which it takes twice. `version` is not in the index: SQLite looks for the
 * row, and says if it is not there.
 */
const nearest = (side: "<=" | ">", order: "ASC" | "DESC") =>
  `SELECT version, (library_id, stream_id) ${side} (?, ?) AS in_order FROM streams
   WHERE (library_id, stream_id) ${side} (?, ?) ORDER BY library_id ${order}, stream_id ${order} LIMIT 1`

const NEIGHBOURS = [nearest("<=", "DESC"), nearest(">", "ASC")] as const

/**
 * Returns a check of a stream that was not found. It dies of `LogDamaged` if one of the neighbours of the stream in the index is not where
 * it belongs. A sound index has no entry between them. An entry that a torn page has emptied would be one of them, and names no row.
 */
export const makeRequireListed = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  return Effect.fnUntraced(function* ({ libraryId, streamId }: StreamKey) {
    for (const statement of NEIGHBOURS) {
      const [found] = yield* sql.unsafe<{ in_order: number | null }>(statement, [
        libraryId,
        streamId,
        libraryId,
        streamId
      ])
      if (found === undefined || found.in_order === 1) continue
      return yield* Effect.die(new LogDamaged({ libraryId, streamId, detail: OUT_OF_ORDER }))
    }
  })
})

const OUT_OF_ORDER =
  "the index of the streams is not in order: keep a copy of the file, and make the index again: `REINDEX streams` (docs/damage.md)"
