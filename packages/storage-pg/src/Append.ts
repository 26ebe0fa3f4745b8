/**
 * A batch of appends as one statement, and therefore one transaction and one round trip. It compares, locks and moves on the
 * row of every stream, and inserts the events of those streams alone that were at their expected version.
 */
import { PgTypes } from "@effect/sql-pg"
import type { Append, StreamEvent, StreamHead } from "@sealog/server/ports"
import { hashBytes, headAfter, type PayloadCodec } from "@sealog/server/storage"
import { Result } from "effect"

/** A row of a statement's result. */
export interface AppendRow {
  /** The append's position in the batch, from 1. */
  readonly i: number
  readonly committed: boolean
  /** The stream's version when the statement looked for it; null if the statement found no such stream. */
  readonly actual: number | null
  /** Whether an event's unique key belongs to another event of the stream or of the same append. */
  readonly key_taken: boolean
}

const { OID } = PgTypes

/** The types of parameters. Numbers go as float8, which is exact up to 2^53, and are cast to bigint in the statement. */
const TYPES = { text: OID.text, float8: OID.float8, int4: OID.int4, bool: OID.bool, bytea: OID.bytea } as const

/** A column of rows that are a parameter of the statement: one array for each column. */
interface Column<Row> {
  readonly name: string
  readonly type: keyof typeof TYPES
  readonly value: (row: Row) => unknown
}

interface AppendInput {
  /** The append's position in the batch, from 1. */
  readonly i: number
  readonly append: Append
  readonly head: StreamHead
  readonly newNumber: number
}

const APPENDS: ReadonlyArray<Column<AppendInput>> = [
  { name: "i", type: "int4", value: ({ i }) => i },
  { name: "library_id", type: "text", value: ({ append }) => append.key.libraryId },
  { name: "stream_id", type: "text", value: ({ append }) => append.key.streamId },
  { name: "expected", type: "float8", value: ({ append }) => append.expectedVersion },
  { name: "expected_chain", type: "bytea", value: ({ append }) => hashBytes(append.expectedChain ?? "") },
  { name: "version", type: "float8", value: ({ head }) => head.version },
  { name: "generation", type: "float8", value: ({ head }) => head.generation },
  { name: "chain", type: "bytea", value: ({ head }) => hashBytes(head.chain) },
  { name: "checkpoint", type: "float8", value: ({ append }) => newestCheckpoint(append) },
  { name: "created_at", type: "float8", value: ({ append }) => append.events[0].event.recordedAt },
  { name: "updated_at", type: "float8", value: ({ append }) => append.events.at(-1)!.event.recordedAt },
  { name: "purge_before", type: "float8", value: ({ append }) => append.purgeBefore ?? 0 },
  { name: "has_distinct_keys", type: "bool", value: ({ append }) => hasDistinctKeys(append) },
  { name: "new_number", type: "float8", value: ({ newNumber }) => newNumber }
]

interface EventInput {
  /** The position of the event's append in the batch, from 1. */
  readonly i: number
  readonly event: StreamEvent
}

/** Columns of `sealog.events`. */
const EVENTS: ReadonlyArray<Column<EventInput>> = [
  { name: "version", type: "float8", value: ({ event }) => event.version },
  { name: "generation", type: "float8", value: ({ event }) => event.generation },
  { name: "type", type: "text", value: ({ event }) => event.type },
  { name: "data", type: "text", value: ({ event }) => JSON.stringify(event.data) },
  { name: "payload_hash", type: "bytea", value: ({ event }) => hashBytes(event.payloadHash) },
  { name: "chain", type: "bytea", value: ({ event }) => hashBytes(event.chain) },
  { name: "origin", type: "text", value: ({ event }) => event.origin },
  { name: "recorded_at", type: "float8", value: ({ event }) => event.recordedAt },
  { name: "checkpoint", type: "bool", value: ({ event }) => event.checkpoint },
  // The event's unique key: the column has its name from the time when snapshots alone had one.
  { name: "snapshot_id", type: "text", value: ({ event }) => event.uniqueKey ?? null }
]

interface PayloadInput extends EventInput {
  /** The size before packing. */
  readonly bytes: number
  readonly packed: Uint8Array
}

/** Columns of `sealog.payloads`. */
const PAYLOADS: ReadonlyArray<Column<PayloadInput>> = [
  { name: "version", type: "float8", value: ({ event }) => event.version },
  { name: "bytes", type: "int4", value: ({ bytes }) => bytes },
  { name: "payload", type: "bytea", value: ({ packed }) => packed }
]

const APPEND_OF: Column<EventInput> = { name: "i", type: "int4", value: ({ i }) => i }

const INPUTS: Inputs = [APPENDS, [APPEND_OF, ...EVENTS], [APPEND_OF, ...PAYLOADS]] as const

const names = (columns: ReadonlyArray<{ readonly name: string }>, prefix = "") =>
  columns.map(({ name }) => prefix + name).join(", ")

type Inputs = readonly [
  ReadonlyArray<Column<AppendInput>>,
  ReadonlyArray<Column<EventInput>>,
  ReadonlyArray<Column<PayloadInput>>
]

/** `unnest($5::text[], …)`: the parameters of one of the inputs as rows. */
const unnest = (inputs: Inputs, input: 0 | 1 | 2): string => {
  const before = inputs.slice(0, input).reduce((count, { length }) => count + length, 0)
  return `unnest(${inputs[input].map(({ type }, i) => `$${before + i + 1}::${type}[]`).join(", ")})`
}

const selected = (columns: Inputs[0]): string =>
  columns.map(({ name, type }) => (type === "float8" ? `t.${name}::bigint` : `t.${name}`)).join(", ")

/** Makes this transaction's commit wait for the disk, if the session is set to wait for less. */
const DURABLE = `durable AS MATERIALIZED (
  SELECT CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')
    THEN set_config('synchronous_commit', 'on', true) END
)`

/** The names of the tables, and "" or SKIP LOCKED: what a statement does about rows that another transaction has locked. */
interface Places {
  readonly streams: string
  readonly events: string
  readonly payloads: string
  readonly whenLocked: string
}

/**
 * - `found` locks the rows of streams in one order, so that two batches never deadlock. A row that another transaction has just
 *   moved is read as that transaction left it.
 * - `made` leaves a new stream to another transaction that is creating it at the same moment. It also creates none whose number
 *   its library has already; the writer then tries again with another number.
 * - A connection keeps the plan that it made while the tables were empty, in which any join looks cheap. Therefore the statement
 *   joins as little as possible, and reads events and payloads only for appends with a unique key or a purge.
 */
const appendStatement = ({ events, payloads, streams, whenLocked }: Places) => `
WITH input AS MATERIALIZED (
  SELECT ${selected(APPENDS)} FROM ${unnest(INPUTS, 0)} AS t (${names(APPENDS)})
), event AS MATERIALIZED (
  SELECT * FROM ${unnest(INPUTS, 1)} WITH ORDINALITY AS t (${names(INPUTS[1])}, n)
), found AS MATERIALIZED (
  SELECT input.*, s.version AS actual, s.stream_number FROM input JOIN ${streams} s USING (library_id, stream_id)
  ORDER BY s.library_id, s.stream_id FOR NO KEY UPDATE OF s ${whenLocked}
), taken AS MATERIALIZED (
  SELECT DISTINCT i FROM event JOIN found USING (i)
  WHERE event.snapshot_id IS NOT NULL AND EXISTS (SELECT FROM ${events} e WHERE e.library_id = found.library_id
    AND e.stream_number = found.stream_number AND e.snapshot_id = event.snapshot_id)
), moved AS (
  UPDATE ${streams} s SET version = found.version, generation = found.generation, chain = found.chain,
    checkpoint = greatest(s.checkpoint, found.checkpoint), updated_at = found.updated_at
  FROM found
  WHERE s.library_id = found.library_id AND s.stream_id = found.stream_id AND s.version = found.expected
    AND found.actual = found.expected AND (found.expected_chain IS NULL OR s.chain = found.expected_chain)
    AND found.has_distinct_keys AND found.i NOT IN (SELECT i FROM taken)
  RETURNING found.i, found.library_id, found.stream_number, found.purge_before
), made AS (
  INSERT INTO ${streams} (library_id, stream_id, stream_number, version, generation, chain, checkpoint, created_at, updated_at)
  SELECT library_id, stream_id, new_number, version, generation, chain, checkpoint, created_at, updated_at FROM input
  WHERE expected = 0 AND has_distinct_keys AND i NOT IN (SELECT i FROM found)
  ORDER BY library_id, stream_id
  ON CONFLICT DO NOTHING
  RETURNING library_id, stream_id, stream_number
), accepted AS MATERIALIZED (
  SELECT i, library_id, stream_number, purge_before FROM moved
  UNION ALL
  SELECT i, library_id, stream_number, purge_before FROM made JOIN input USING (library_id, stream_id)
), written AS (
  INSERT INTO ${events} (library_id, stream_number, ${names(EVENTS)})
  SELECT a.library_id, a.stream_number, ${names(EVENTS, "e.")}
  FROM event e JOIN accepted a USING (i) ORDER BY e.n
), held AS (
  INSERT INTO ${payloads} (library_id, stream_number, ${names(PAYLOADS)})
  SELECT a.library_id, a.stream_number, ${names(PAYLOADS, "p.")}
  FROM ${unnest(INPUTS, 2)} AS p (${names(INPUTS[2])}) JOIN accepted a USING (i)
), purged AS (
  DELETE FROM ${payloads} p USING accepted a
  WHERE a.purge_before > 0 AND p.library_id = a.library_id AND p.stream_number = a.stream_number AND p.version < a.purge_before
), ${DURABLE}
SELECT i, accepted.i IS NOT NULL AS committed, found.actual::float8 AS actual,
  NOT input.has_distinct_keys OR i IN (SELECT i FROM taken) AS key_taken
FROM input LEFT JOIN accepted USING (i) LEFT JOIN found USING (i) CROSS JOIN durable`

const isNamed =
  (...names: ReadonlyArray<string>) =>
  ({ name }: { readonly name: string }): boolean =>
    names.includes(name)
const isConstantInUpdates = isNamed(
  "checkpoint",
  "created_at",
  "purge_before",
  "has_distinct_keys",
  "new_number",
  "snapshot_id"
)

/** The `INPUTS` without the columns that are the same in every update to a stream that exists. */
const UPDATES: Inputs = [
  APPENDS.filter((column) => !isConstantInUpdates(column)),
  INPUTS[1].filter((column) => !isConstantInUpdates(column)),
  INPUTS[2]
]

/**
 * The same for streams that exist, and for events that are no checkpoints, have no unique key and purge nothing: most batches
 * are updates. It locks rows in the same order. It returns no row for a stream that it did not find.
 */
const updatesStatement = ({ events, payloads, streams, whenLocked }: Places) => `
WITH found AS MATERIALIZED (
  SELECT ${selected(UPDATES[0])}, s.version AS actual, s.stream_number
  FROM ${unnest(UPDATES, 0)} AS t (${names(UPDATES[0])})
  JOIN ${streams} s ON s.library_id = t.library_id AND s.stream_id = t.stream_id
  ORDER BY s.library_id, s.stream_id FOR NO KEY UPDATE OF s ${whenLocked}
), moved AS (
  UPDATE ${streams} s SET version = found.version, generation = found.generation, chain = found.chain,
    updated_at = found.updated_at
  FROM found
  WHERE s.library_id = found.library_id AND s.stream_id = found.stream_id AND s.version = found.expected
    AND found.actual = found.expected AND (found.expected_chain IS NULL OR s.chain = found.expected_chain)
  RETURNING found.i, found.library_id, found.stream_number
), written AS (
  INSERT INTO ${events} (library_id, stream_number, checkpoint, ${names(UPDATES[1].slice(1))})
  SELECT a.library_id, a.stream_number, false, ${names(UPDATES[1].slice(1), "e.")}
  FROM ${unnest(UPDATES, 1)} WITH ORDINALITY AS e (${names(UPDATES[1])}, n) JOIN moved a USING (i) ORDER BY e.n
), held AS (
  INSERT INTO ${payloads} (library_id, stream_number, ${names(PAYLOADS)})
  SELECT a.library_id, a.stream_number, ${names(PAYLOADS, "p.")}
  FROM ${unnest(UPDATES, 2)} AS p (${names(UPDATES[2])}) JOIN moved a USING (i)
), ${DURABLE}
SELECT i, moved.i IS NOT NULL AS committed, found.actual::float8 AS actual, false AS key_taken
FROM found LEFT JOIN moved USING (i) CROSS JOIN durable`

/** Whether `updatesStatement` can append a batch. */
const isUpdates = (batch: ReadonlyArray<Append>): boolean =>
  batch.every(
    ({ events, expectedVersion, purgeBefore }) =>
      expectedVersion > 0 &&
      purgeBefore === undefined &&
      events.every(({ event }) => !event.checkpoint && event.uniqueKey === undefined)
  )

/** A statement with its inputs, which are its parameters. */
export interface AppendStatement {
  readonly name: string
  readonly inputs: Inputs
  readonly textFor: (places: Places) => string
}

const ANY: AppendStatement = { name: "append", inputs: INPUTS, textFor: appendStatement }
const UPDATES_ALONE: AppendStatement = { name: "append_updates", inputs: UPDATES, textFor: updatesStatement }
export const APPEND_STATEMENTS = [ANY, UPDATES_ALONE] as const

/** Returns the statement that appends a batch. */
export const statementFor = (batch: ReadonlyArray<Append>): AppendStatement => (isUpdates(batch) ? UPDATES_ALONE : ANY)

/** The types of a statement's parameters, in their order. */
export const parameterTypes = ({ inputs }: AppendStatement): ReadonlyArray<string> =>
  inputs.flatMap((columns) => columns.map(({ type }) => `${type}[]`))

const onTables = ({ textFor }: AppendStatement) => {
  const tables = { streams: "sealog.streams", events: "sealog.events", payloads: "sealog.payloads" }
  return {
    waiting: textFor({ ...tables, whenLocked: "" }),
    leavingHeld: textFor({ ...tables, whenLocked: "SKIP LOCKED" })
  }
}

const TEXTS = new Map(APPEND_STATEMENTS.map((statement) => [statement, onTables(statement)]))

/** The statement for any batch; it waits for locked rows. */
export const APPEND = TEXTS.get(ANY)!.waiting

/** Returns the statement that appends a batch, with its parameters. `leaveHeld`: it finds no row that another transaction has locked. */
export const appendOf = (
  codec: PayloadCodec,
  batch: ReadonlyArray<Append>,
  leaveHeld: boolean
): readonly [statement: string, parameters: ReadonlyArray<unknown>] => {
  const statement = statementFor(batch)
  const { leavingHeld, waiting } = TEXTS.get(statement)!
  return [leaveHeld ? leavingHeld : waiting, parametersOf(statement, codec, batch)]
}

/** A number for a stream that may be new: the statement creates no stream whose number its library has already. */
const randomNumber = (): number => Math.floor(Math.random() * Number.MAX_SAFE_INTEGER)

/** One array for each column of a statement's inputs. */
export const parametersOf = (
  { inputs }: AppendStatement,
  codec: PayloadCodec,
  batch: ReadonlyArray<Append>,
  newNumber: () => number = randomNumber
): ReadonlyArray<unknown> => {
  const appends = batch.map((append, i) => ({
    i: i + 1,
    append,
    head: headAfter(append.events),
    newNumber: newNumber()
  }))
  const events = batch.flatMap(({ events }, i) => events.map(({ event }) => ({ i: i + 1, event })))
  const payloads = batch.flatMap(({ events, key }, i) =>
    events.flatMap(({ event, packed, payload }) =>
      payload === null
        ? []
        : [{ i: i + 1, event, bytes: payload.length, packed: codec.pack(key, event, payload, packed) }]
    )
  )
  return [...arraysOf(inputs[0], appends), ...arraysOf(inputs[1], events), ...arraysOf(inputs[2], payloads)]
}

/** The parameters of `APPEND`. */
export const appendParameters = (codec: PayloadCodec, batch: ReadonlyArray<Append>, newNumber?: () => number) =>
  parametersOf(ANY, codec, batch, newNumber)

const arraysOf = <Row>(columns: ReadonlyArray<Column<Row>>, rows: ReadonlyArray<Row>): ReadonlyArray<unknown> =>
  columns.map(({ type, value }) => Result.getOrThrow(PgTypes.array(rows.map(value), TYPES[type])))

const newestCheckpoint = ({ events }: Append): number =>
  events.findLast(({ event }) => event.checkpoint)?.event.version ?? 0

/** False if two events of one append have the same unique key. The statement would see neither of them yet. */
const hasDistinctKeys = ({ events }: Append): boolean => {
  const uniqueKeys = events.flatMap(({ event }) => event.uniqueKey ?? [])
  return new Set(uniqueKeys).size === uniqueKeys.length
}
