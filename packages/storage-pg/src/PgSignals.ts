/**
 * Signals by LISTEN and NOTIFY. NOTIFY takes a lock that is shared by all notifying transactions of a database. Therefore each
 * process sends its notifications one after another, in transactions of their own, after the commits that they announce.
 */
import { PgClient } from "@effect/sql-pg"
import { makeTransportSignals, rootCauseOf } from "@sealog/server/storage"
import { Effect, Queue } from "effect"

const CHANNEL = "sealog"
/** Postgres refuses notifications of 8,000 bytes and more. */
const MAX_BYTES = 7999

export const makeSignals = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  return yield* makeTransportSignals({
    maxBytes: MAX_BYTES,
    send: (texts) =>
      sql`SELECT pg_notify(${CHANNEL}, text) FROM json_array_elements_text(${JSON.stringify(texts)}::json) AS text`.pipe(
        Effect.asVoid,
        Effect.mapError(rootCauseOf)
      ),
    listen: Effect.fnUntraced(function* (onListening, onText) {
      const notifications = yield* sql.listen(CHANNEL)
      yield* onListening
      return yield* Effect.forever(Effect.flatMap(Queue.take(notifications), ({ payload }) => onText(payload)))
    }, Effect.mapError(rootCauseOf))
  })
})

/** No signals: each process looks at its open streams every few seconds. */
export const makeSweeps = makeTransportSignals({
  maxBytes: MAX_BYTES,
  send: () => Effect.void,
  listen: () => Effect.never
})
