import { Effect } from "effect"

/**
 * Runs an effect as often as a pool has connections, all at once. Each must be one statement that sleeps for a moment, so that every
 * connection that is not in use gets one.
 */
export const onEachConnection = <A, E, R>(connections: number, statement: Effect.Effect<A, E, R>) =>
  Effect.forEach(Array(connections).keys(), () => statement, { concurrency: "unbounded" })
