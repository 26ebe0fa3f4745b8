/** Real clients write items into one document at the same time, and a newcomer loads the result. */
import { assert } from "@effect/vitest"
import { Array, Effect } from "effect"
import { connectClient, nextTurn, type SecsyncClient, untilAll } from "./SecsyncClient.ts"

const ITEMS = 60

/** Waits until every client, and then a newcomer, has all items once. Each fourth item waits for its acknowledgement. */
export const writeItems = Effect.fnUntraced(function* (count: number, options: Parameters<typeof connectClient>[0]) {
  const clients = yield* Effect.all(Array.makeBy(count, () => connectClient(options)))
  yield* untilAll(clients, "all have loaded", (client) => client.isSettled())
  const write = (client: SecsyncClient, name: number) =>
    Effect.forEach(Array.range(1, ITEMS), (i) => {
      client.write(`writer ${name}: ${i}`)
      return i % 4 === 0 ? client.until("it is acknowledged", client.isSettledOnActive) : nextTurn
    })
  yield* Effect.all(clients.map(write), { concurrency: "unbounded" })
  yield* untilAll(
    clients,
    "all have all",
    (client) => client.isSettledOnActive() && client.list().length === clients.length * ITEMS
  )
  const newcomer = yield* connectClient(options)
  yield* newcomer.until("it has all", () => newcomer.list().length === clients.length * ITEMS)
  assert.strictEqual(new Set(newcomer.list()).size, clients.length * ITEMS)
  return { clients, newcomer }
})
