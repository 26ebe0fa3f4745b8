/**
 * Signals by LISTEN and NOTIFY. NOTIFY takes a lock that all of a database's notifying transactions share, so it has
 * transactions of its own, after the commits that it tells of, one at a time.
 */
import { PgClient } from "@effect/sql-pg"
import { makeTransportSignals } from "@sealog/server/storage"
import { Effect, Queue } from "effect"
import { rootOf } from "./Unavailable.ts"

const CHANNEL = "sealog"
/** Postgres refuses payloads of 8000 bytes and more. */
const MAX_BYTES = 7999

export const makeSignals = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  return yield* makeTransportSignals({
    maxBytes: MAX_BYTES,
    send: (texts) =>
      sql`SELECT pg_notify(${CHANNEL}, text) FROM json_array_elements_text(${JSON.stringify(texts)}::json) AS text`.pipe(
        Effect.asVoid,
        Effect.mapError(rootOf)
      ),
    listen: Effect.fnUntraced(function* (onListening, onText) {
      const notifications = yield* sql.listen(CHANNEL)
      yield* onListening
      return yield* Effect.forever(Effect.flatMap(Queue.take(notifications), ({ payload }) => onText(payload)))
    }, Effect.mapError(rootOf))
  })
})
