/** Appends to a distributed log: one call for each shard, all at the same time. Each call is a transaction of its own. */
import type { Append, StorageUnavailable } from "@sealog/server/ports"
import { PayloadCodec } from "@sealog/server/storage"
import { type Duration, Effect } from "effect"
import { isArrayNonEmpty, type NonEmptyReadonlyArray } from "effect/Array"
import { SqlClient } from "effect/sql"
import type { AppendRow } from "./Append.ts"
import { appendCallOf } from "./AppendFunction.ts"
import { unavailable } from "./Unavailable.ts"

/** Libraries whose shard a process remembers: about 10 MB. */
const MAX_KNOWN = 100_000

interface Placed {
  readonly append: Append
  /** The append's position in the batch, from 1. */
  readonly i: number
}

/** `connections`: the size of the client's pool. Two of them stay free for reads. */
export const makeAppendByShard = Effect.fnUntraced(function* (connections: number, timeout: Duration.Input) {
  const sql = yield* SqlClient.SqlClient
  const codec = yield* PayloadCodec
  const concurrency = Math.max(1, connections - 2)
  const shards = new Map<string, number>()

  const learnShards = Effect.fnUntraced(
    function* (batch: ReadonlyArray<Append>) {
      const unknown = new Set(batch.map(({ key }) => key.libraryId).filter((libraryId) => !shards.has(libraryId)))
      if (unknown.size === 0) return
      const rows = yield* sql.unsafe<{ library_id: string; shard: number }>(
        `SELECT library_id, sealog.shard_of(library_id)::float8 AS shard FROM json_array_elements_text($1::json) AS library_id`,
        [JSON.stringify([...unknown])]
      )
      if (shards.size + rows.length > MAX_KNOWN) shards.clear()
      for (const { library_id, shard } of rows) shards.set(library_id, shard)
    },
    unavailable("find shards", timeout)
  )

  const forget = (group: NonEmptyReadonlyArray<Placed>) =>
    Effect.sync(() => {
      for (const { append } of group) shards.delete(append.key.libraryId)
    })

  const appendGroup = (group: NonEmptyReadonlyArray<Placed>, leaveHeld: boolean) => {
    const [first, ...rest] = group
    const batch: NonEmptyReadonlyArray<Append> = [first.append, ...rest.map(({ append }) => append)]
    return sql.unsafe<AppendRow>(...appendCallOf(codec, batch, leaveHeld)).pipe(
      Effect.map((rows) => rows.map((row): GroupRow => ({ ...row, i: group[row.i - 1]!.i }))),
      // A shard that was split has left some of its libraries to another one.
      Effect.tapError(() => forget(group)),
      unavailable("append", timeout)
    )
  }

  return Effect.fnUntraced(function* (batch: ReadonlyArray<Append>, leaveHeld: boolean) {
    yield* learnShards(batch)
    const groups = Map.groupBy(
      batch.map((append, at): Placed => ({ append, i: at + 1 })),
      ({ append }) => shards.get(append.key.libraryId)
    )
    // A call that fails interrupts no other one. Whether it took effect is not known.
    const exits = yield* Effect.forEach(
      [...groups.values()].filter(isArrayNonEmpty),
      (group) => {
        const rows = appendGroup(group, leaveHeld)
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
