/** Appends to a distributed log: one call to each node, all at the same time. Each call is a transaction of its own. */
import type { Append, StorageUnavailable } from "@sealog/server/ports"
import { type FailedStatement, PayloadCodec } from "@sealog/server/storage"
import { Cause, Effect } from "effect"
import { isArrayNonEmpty, map, type NonEmptyReadonlyArray } from "effect/Array"
import { SqlClient } from "effect/sql"
import type { AppendRow } from "./Append.ts"
import { appendCallOf } from "./AppendFunction.ts"
import { unavailableSoon } from "./LeftBehind.ts"
import { makeNodeClients, type OpenNode } from "./NodeClients.ts"
import { failedWith, unavailable } from "./Unavailable.ts"

/** Libraries whose place a process remembers: about 10 MB. */
const MAX_KNOWN = 100_000

/** `serialization_failure`: a node does not hold all shards of its call, or a shard not all libraries. The call left nothing behind. */
const MOVED = "40001"

const hasMoved = (error: unknown): boolean => failedWith(error, MOVED)

/** Where a library was seen last. */
interface Place {
  readonly node: number
  readonly shard: number
}

interface Numbered {
  readonly append: Append
  /** The append's position in the batch, from 1. */
  readonly i: number
}

/** The appends of one call, in the order of their shards. Two calls take shards in one order, so that they never deadlock. */
type Group = NonEmptyReadonlyArray<Numbered & Place>

/** `connections`: the size of the client's pool. Two of them stay free for reads. */
export const makeAppendByNode = Effect.fnUntraced(function* (connections: number, openNode: OpenNode) {
  const sql = yield* SqlClient.SqlClient
  const codec = yield* PayloadCodec
  const concurrency = Math.max(1, connections - 2)
  const places = new Map<string, Place>()
  const nodes = yield* makeNodeClients(openNode)

  const placesOf = Effect.fnUntraced(function* (batch: ReadonlyArray<Numbered>) {
    const found = new Map<string, Place>()
    const unknown = new Set<string>()
    for (const { append } of batch) {
      const { libraryId } = append.key
      const place = places.get(libraryId)
      if (place === undefined) unknown.add(libraryId)
      // Kept here: another batch may forget it while this one waits.
      else found.set(libraryId, place)
    }
    if (unknown.size === 0) return found
    const rows = yield* sql.unsafe<Place & { readonly library_id: string }>(
      `SELECT library_id, shard::float8, sealog.node_of(shard) AS node FROM json_array_elements_text($1::json) AS library_id
         CROSS JOIN LATERAL sealog.shard_of(library_id) AS shard`,
      [JSON.stringify([...unknown])]
    )
    if (places.size > MAX_KNOWN) places.clear()
    for (const { library_id, node, shard } of rows) {
      places.set(library_id, { node, shard })
      found.set(library_id, { node, shard })
    }
    return found
  }, unavailableSoon("find shards"))

  const groupsOf = Effect.fnUntraced(function* (batch: ReadonlyArray<Numbered>) {
    const found = yield* placesOf(batch)
    const placed = batch
      .map((numbered) => ({ ...numbered, ...found.get(numbered.append.key.libraryId)! }))
      .toSorted((a, b) => a.shard - b.shard)
    return [...Map.groupBy(placed, ({ node }) => node).values()].filter(isArrayNonEmpty)
  })

  const forget = (group: Group) =>
    Effect.sync(() => {
      for (const { append } of group) places.delete(append.key.libraryId)
    })

  const appendBy = (
    client: SqlClient.SqlClient,
    group: Group,
    leaveHeld: boolean
  ): Effect.Effect<ReadonlyArray<GroupRow>, FailedStatement | StorageUnavailable> => {
    const { node } = group[0]
    const appends = map(group, ({ append }) => append)
    const lastOfShards = group.flatMap(({ shard }, k) =>
      k + 1 < group.length && group[k + 1]!.shard === shard ? [] : [k + 1]
    )
    return client.unsafe<AppendRow>(...appendCallOf(codec, appends, lastOfShards, leaveHeld)).pipe(
      Effect.map((rows) => rows.map((row): GroupRow => ({ ...row, i: group[row.i - 1]!.i }))),
      Effect.onError((cause) => (hasMoved(Cause.squash(cause)) ? Effect.void : nodes.lose(node, client))),
      Effect.tapError(() => forget(group)),
      Effect.catchIf(hasMoved, () => Effect.delay(appendAgain(group, leaveHeld), "50 millis"))
    )
  }

  const appendAgain = Effect.fnUntraced(function* (group: Group, leaveHeld: boolean) {
    const groups = yield* groupsOf(group)
    const append = (moved: Group) =>
      Effect.flatMap(nodes.clientOf(moved[0].node), (client) => appendBy(client, moved, leaveHeld))
    return (yield* Effect.forEach(groups, (moved) => unavailable("append")(append(moved)))).flat()
  })

  return Effect.fnUntraced(function* (batch: ReadonlyArray<Append>, leaveHeld: boolean) {
    const groups = yield* groupsOf(batch.map((append, at) => ({ append, i: at + 1 })))
    // A call that fails interrupts no other one. Whether it took effect is not known.
    const exits = yield* Effect.forEach(
      groups,
      (group) => {
        const rows = Effect.flatMap(nodes.clientOf(group[0].node), (client) =>
          unavailableSoon("append")(appendBy(client, group, leaveHeld)).pipe(
            // A call without an answer still waits for its connection's end. The next one would take another connection to the node.
            Effect.tapError(() => nodes.lose(group[0].node, client))
          )
        )
        const failed = (failure: StorageUnavailable) =>
          Effect.succeed(group.map(({ i }): GroupRow => ({ ...NOT_APPENDED, i, failure })))
        return Effect.exit(leaveHeld ? Effect.catch(rows, failed) : rows)
      },
      { concurrency }
    )
    return (yield* Effect.forEach(exits, (exit) => exit)).flat()
  })
})

/** `failure`: the call failed, and the others did not fail for it. */
export type GroupRow = AppendRow & { readonly failure?: StorageUnavailable }

const NOT_APPENDED: Omit<AppendRow, "i"> = { committed: false, actual: null, key_taken: false }
