/**
 * Connections whose network is gone without a word: a pool keeps them, and each statement on one of them waits for its whole time
 * limit. So when a short statement is not answered, every idle connection is asked for a sign of life, and the driver ends those that
 * give none. Statements after that begin on new connections, as soon as the network is back.
 */
import { Effect, Option } from "effect"
import type { SqlClient } from "effect/sql"
import { onEachConnection } from "./onEachConnection.ts"

/** A short statement that takes longer is a reason to ask. */
const PATIENCE_MILLIS = 2000

/** How long a connection may take for its sign of life. The driver then waits five seconds more before it ends the connection. */
const SIGN_OF_LIFE = "1 second"

/** A database that is slow itself is asked after this pause, milliseconds, and then after pauses that double up to the last. */
const [PAUSE_MILLIS, LONGEST_PAUSE_MILLIS] = [5000, 160_000]

/** Returns a function that watches a short statement, and asks the `connections` of the pool if it takes long. */
export const makeEndSilentConnections = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, connections: number) {
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const askOne = sql`SELECT pg_sleep(0.05)`.pipe(
    Effect.timeoutOption(SIGN_OF_LIFE),
    Effect.map(Option.isSome),
    Effect.orElseSucceed(() => false)
  )
  let [askedAt, pause] = [Number.NEGATIVE_INFINITY, PAUSE_MILLIS]
  const askAll = Effect.map(onEachConnection(connections, askOne), (answers) => {
    pause = answers.every((isAlive) => isAlive) ? Math.min(2 * pause, LONGEST_PAUSE_MILLIS) : PAUSE_MILLIS
  })
  const ask = () => {
    const now = performance.now()
    if (now - askedAt < pause) return
    askedAt = now
    run(askAll)
  }
  return <A, E, R>(statement: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      const timer = setTimeout(ask, PATIENCE_MILLIS)
      return Effect.ensuring(
        statement,
        Effect.sync(() => clearTimeout(timer))
      )
    })
})
