/** Heads of a distributed log. Citus would read all streams for the outer join that plain Postgres takes for them. */
import { PgTypes } from "@effect/sql-pg"
import type { StreamHead, StreamKey } from "@sealog/server/ports"
import { emptyHead, hashText } from "@sealog/server/storage"
import { Effect, Result } from "effect"
import type { SqlClient } from "effect/sql"

export interface HeadRow {
  readonly version: number
  readonly generation: number
  readonly chain: Uint8Array
}

export const headOf = ({ chain, generation, version }: HeadRow): StreamHead => ({
  version,
  generation,
  chain: hashText(chain)
})

const texts = (values: ReadonlyArray<string>) => Result.getOrThrow(PgTypes.array(values, PgTypes.OID.text))

const nameOf = (libraryId: string, streamId: string) => JSON.stringify([libraryId, streamId])

export const makeHeadsOnNodes = (sql: SqlClient.SqlClient) =>
  Effect.fnUntraced(function* (keys: ReadonlyArray<StreamKey>) {
    if (keys.length === 0) return []
    const libraryIds = texts(keys.map(({ libraryId }) => libraryId))
    // `ANY` tells Citus which shards to ask.
    const rows = yield* sql.unsafe<HeadRow & { readonly library_id: string; readonly stream_id: string }>(
      `SELECT s.library_id, s.stream_id, s.version::float8 AS version, s.generation::float8 AS generation, s.chain
       FROM unnest($1::text[], $2::text[]) AS k (library_id, stream_id)
       JOIN sealog.streams s ON s.library_id = k.library_id AND s.stream_id = k.stream_id
       WHERE s.library_id = ANY ($3::text[])`,
      [libraryIds, texts(keys.map(({ streamId }) => streamId)), libraryIds]
    )
    const heads = new Map(rows.map((row) => [nameOf(row.library_id, row.stream_id), headOf(row)]))
    return keys.map(({ libraryId, streamId }) => heads.get(nameOf(libraryId, streamId)) ?? emptyHead)
  })
