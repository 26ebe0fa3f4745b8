/**
 * Appends on tables that are distributed by library (Citus). Citus plans none of the statements of `Append.ts` on distributed
 * tables. Therefore a function runs them on the tables of each shard, on the node that holds the shards. Citus sends the function
 * there by its first argument, a library.
 */
import { createHash } from "node:crypto"
import { PgTypes } from "@effect/sql-pg"
import type { Append } from "@sealog/server/ports"
import type { PayloadCodec } from "@sealog/server/storage"
import { Result } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { APPEND_STATEMENTS, type AppendStatement, parametersOf, parameterTypes, statementFor } from "./Append.ts"
import { HOLD_SHARDS, NODE_OF, SHARD_OF } from "./ShardFunctions.ts"

/** Where the rows of each shard end, in each of a statement's inputs. */
const ENDS = ["appends", "events", "payloads"] as const

/** The parameters of a function before those of its statement. */
const BEFORE: ReadonlyArray<readonly [name: string, type: string]> = [
  ["library", "text"],
  ["leave_held", "boolean"],
  ...ENDS.map((name) => [name, "int4[]"] as const)
]

const allTypes = (statement: AppendStatement) => [...BEFORE.map(([, type]) => type), ...parameterTypes(statement)]

const RESULT = "RETURNS TABLE (i int4, committed boolean, actual float8, key_taken boolean)"

/**
 * Each parameter of a statement is a parameter of the function. The rows of a shard follow each other, and its statement gets those
 * alone. `sealog.hold_shards` says which tables hold the libraries, and keeps them where they are until the transaction ends.
 *
 * To plan a statement takes longer than to run it. So each shard has a function of its own, which keeps the plan: a temporary one,
 * because a plan is of one session. Its name is a hash of its text, for servers of two versions on one session.
 */
const bodyOf = (statement: AppendStatement): string => {
  const places = { streams: "%1$s", events: "%2$s", payloads: "%3$s", whenLocked: "%4$s" }
  const types = parameterTypes(statement)
  const parameters = types.map((_, i) => `$${BEFORE.length + i + 1}`)
  const slices = statement.inputs.flatMap((columns, n) => columns.map(() => `[first[${n + 1}]:last[${n + 1}]]`))
  const libraries = parameters[statement.inputs[0].findIndex(({ name }) => name === "library_id")]
  return `
DECLARE
  tables text[] := sealog.hold_shards(${libraries}, appends);
  first int4[] := ARRAY[1, 1, 1];
  last int4[];
  shard_body text;
  shard_function text;
BEGIN
  FOR k IN 1..cardinality(appends) LOOP
    shard_body := format($statement$#variable_conflict use_column
BEGIN RETURN QUERY ${statement.textFor(places)}; END$statement$,
      tables[3 * k - 2], tables[3 * k - 1], tables[3 * k], CASE WHEN leave_held THEN 'SKIP LOCKED' ELSE '' END);
    shard_function := 'pg_temp.append_' || left(encode(sha256(convert_to(shard_body, 'UTF8')), 'hex'), 32);
    IF to_regproc(shard_function) IS NULL THEN
      -- Citus would create it on all nodes.
      PERFORM set_config('citus.enable_ddl_propagation', 'off', true);
      EXECUTE format('CREATE FUNCTION %s(${types.join(", ")}) ${RESULT} LANGUAGE plpgsql AS %L', shard_function, shard_body);
    END IF;
    last := ARRAY[appends[k], events[k], payloads[k]];
    RETURN QUERY EXECUTE format('SELECT * FROM %s(${types.map((_, i) => `$${i + 1}`).join(", ")})', shard_function)
      USING ${parameters.map((parameter, i) => `${parameter}${slices[i]}`).join(", ")};
    first := ARRAY[last[1] + 1, last[2] + 1, last[3] + 1];
  END LOOP;
END`
}

/** The name ends with a hash of all texts, so that servers of two versions each find their own function. */
const nameOf = (statement: AppendStatement): string => {
  const hash = createHash("sha256").update(bodyOf(statement)).update(SHARD_OF).update(HOLD_SHARDS).update(NODE_OF)
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
  signature: `${nameOf(statement)}(${allTypes(statement).join(", ")})`,
  definition: `CREATE OR REPLACE FUNCTION ${nameOf(statement)}(
    ${[...BEFORE.map(([name, type]) => `${name} ${type}`), ...parameterTypes(statement)].join(", ")})
    ${RESULT} LANGUAGE plpgsql AS
    $function$${bodyOf(statement)}$function$`
}))

const CALLS = new Map(
  APPEND_STATEMENTS.map((statement) => {
    const given = allTypes(statement).map((type, i) => `$${i + 1}::${type}`)
    return [statement, `SELECT * FROM ${nameOf(statement)}(${given.join(", ")})`]
  })
)

/**
 * Returns the call that appends to shards of one node, with its parameters. The appends to a shard follow each other;
 * `lastOfShards` has the position of the last one of each shard, from 1.
 */
export const appendCallOf = (
  codec: PayloadCodec,
  batch: NonEmptyReadonlyArray<Append>,
  lastOfShards: ReadonlyArray<number>,
  leaveHeld: boolean
): readonly [statement: string, parameters: ReadonlyArray<unknown>] => {
  const statement = statementFor(batch)
  const endsOf = (rowsOf: (append: Append) => number) => {
    const ends = lastOfShards.map((last) => batch.slice(0, last).reduce((sum, append) => sum + rowsOf(append), 0))
    return Result.getOrThrow(PgTypes.array(ends, PgTypes.OID.int4))
  }
  const ends = [
    endsOf(() => 1),
    endsOf(({ events }) => events.length),
    endsOf(({ events }) => events.filter(({ payload }) => payload !== null).length)
  ]
  return [CALLS.get(statement)!, [batch[0].key.libraryId, leaveHeld, ...ends, ...parametersOf(statement, codec, batch)]]
}
