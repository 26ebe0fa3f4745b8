/**
 * Appends on tables that are distributed by library (Citus). Citus plans none of the statements of `Append.ts` on distributed
 * tables. Therefore a function runs them on the tables of one shard, on the node that holds it. Citus sends the function there
 * by its first argument, a library.
 */
import { createHash } from "node:crypto"
import type { Append } from "@sealog/server/ports"
import type { PayloadCodec } from "@sealog/server/storage"
import { APPEND_STATEMENTS, type AppendStatement, parametersOf, parameterTypes, statementFor } from "./Append.ts"
import { HOLD_SHARD, SHARD_OF } from "./ShardFunctions.ts"

/**
 * Each parameter of a statement is a parameter of the function. `sealog.hold_shard` says which tables hold the batch's libraries,
 * and keeps them where they are until the transaction ends.
 */
const bodyOf = (statement: AppendStatement): string => {
  const places = { streams: "%1$s", events: "%2$s", payloads: "%3$s", whenLocked: "%4$s" }
  const given = parameterTypes(statement).map((_, i) => `$${i + 3}`)
  return `
DECLARE shard text[] := sealog.hold_shard(library, $3);
BEGIN
  RETURN QUERY EXECUTE format($statement$${statement.textFor(places)}$statement$,
    shard[1], shard[2], shard[3], CASE WHEN leave_held THEN 'SKIP LOCKED' ELSE '' END) USING ${given.join(", ")};
END`
}

const parametersFor = (statement: AppendStatement): string =>
  ["library text", "leave_held boolean", ...parameterTypes(statement)].join(", ")

/** The name ends with a hash of all texts, so that servers of two versions each find their own function. */
const nameOf = (statement: AppendStatement): string => {
  const hash = createHash("sha256").update(bodyOf(statement)).update(SHARD_OF).update(HOLD_SHARD)
  return `sealog.${statement.name}_${hash.digest("hex").slice(0, 8)}`
}

export interface AppendFunction {
  /** With its schema. */
  readonly name: string
  /** The name with the types of its parameters. */
  readonly signature: string
  readonly definition: string
}

/** The functions of this version. */
export const APPEND_FUNCTIONS: ReadonlyArray<AppendFunction> = APPEND_STATEMENTS.map((statement) => ({
  name: nameOf(statement),
  signature: `${nameOf(statement)}(text, boolean, ${parameterTypes(statement).join(", ")})`,
  definition: `CREATE OR REPLACE FUNCTION ${nameOf(statement)}(${parametersFor(statement)})
    RETURNS TABLE (i int4, committed boolean, actual float8, key_taken boolean) LANGUAGE plpgsql AS
    $function$${bodyOf(statement)}$function$`
}))

const CALLS = new Map(
  APPEND_STATEMENTS.map((statement) => {
    const given = ["text", "boolean", ...parameterTypes(statement)].map((type, i) => `$${i + 1}::${type}`)
    return [statement, `SELECT * FROM ${nameOf(statement)}(${given.join(", ")})`]
  })
)

/** Returns the call that appends a batch of libraries that one shard holds, with its parameters. */
export const appendCallOf = (
  codec: PayloadCodec,
  batch: readonly [Append, ...ReadonlyArray<Append>],
  leaveHeld: boolean
): readonly [statement: string, parameters: ReadonlyArray<unknown>] => {
  const statement = statementFor(batch)
  return [CALLS.get(statement)!, [batch[0].key.libraryId, leaveHeld, ...parametersOf(statement, codec, batch)]]
}
