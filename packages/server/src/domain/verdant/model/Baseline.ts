/** A baseline: the state of an entity after its first operations, which it replaces. */
import { Result } from "effect"
import { parsed, stringified } from "../../JsonInSteps.ts"
import { allAtOnce, type Steps } from "../../Steps.ts"
import { type Authz, isAuthz, withOriginator } from "./Authz.ts"
import { isBoundedJson } from "./BoundedJson.ts"
import { isOid, type Oid } from "./Oid.ts"
import { isNone, type Malformed, malformed, type Operation } from "./Operation.ts"
import { applyInPlace, copyOf, type Entity, type Patch } from "./Patch.ts"
import { isTimestamp, type Timestamp } from "./Timestamp.ts"

export interface Baseline {
  readonly oid: Oid
  /** The timestamp of the last operation that it includes. */
  readonly timestamp: Timestamp
  readonly authz: Authz | undefined
  /** Null when the entity does not exist. Only clients send such baselines. */
  readonly snapshot: Entity
  /** The whole baseline as JSON for the wire. */
  readonly text: string
}

/** Characters of an entity's baseline: more than any client's object needs. Operations that exceed it are refused. */
export const MAX_ENTITY_LENGTH = 8 * 1024 * 1024

/** Decodes a client's baseline from parsed JSON. It may be as long as those that this server sends. */
export const decodeBaseline = (input: unknown): Result.Result<Baseline, Malformed> =>
  Result.filterOrFail(
    readBaseline(input),
    ({ text }) => text.length <= MAX_ENTITY_LENGTH,
    (): Malformed => ({ _tag: "Malformed", field: "snapshot" })
  )

/** Decodes a stored baseline, which may be longer than a client's: it was accepted under the rules of its time. */
export const readBaseline = (input: unknown): Result.Result<Baseline, Malformed> => {
  if (typeof input !== "object" || input === null) return malformed("item")
  const { oid, timestamp, snapshot = null, authz } = input as Readonly<Record<string, unknown>>
  if (!isOid(oid)) return malformed("oid")
  if (!isTimestamp(timestamp)) return malformed("timestamp")
  if (!isNone(authz) && !isAuthz(authz)) return malformed("authz")
  if (!isBoundedJson(snapshot)) return malformed("snapshot")
  return Result.succeed(makeBaseline(oid, timestamp, isNone(authz) ? undefined : authz, snapshot))
}

/** The baseline with this user in place of the placeholder for its author. */
export const baselineBy = (userId: string, baseline: Baseline): Baseline => {
  const { oid, timestamp, authz, snapshot } = baseline
  const known = authz === undefined ? undefined : withOriginator(authz, userId)
  return known === authz ? baseline : makeBaseline(oid, timestamp, known, snapshot)
}

/**
 * Compacts operations, given in the order of their timestamps, into the entity's baseline; undefined when they leave no
 * entity. Skips operations that are not newer than the baseline, because it includes them. The access field is the one of
 * the last `initialize`, as on clients. So the result does not depend on how many operations are compacted at once.
 */
export const compact = (baseline: Baseline | undefined, operations: ReadonlyArray<Operation>): Baseline | undefined => {
  const after = allAtOnce(applied(baseline, copyOf(baseline?.snapshot), operations))
  if (after === undefined) return undefined
  if (after === baseline) return baseline
  return makeBaseline(after.oid, after.timestamp, after.authz, after.snapshot)
}

/** The content of a baseline. */
type Content = Pick<Baseline, "oid" | "timestamp" | "authz" | "snapshot">

/** `snapshot`: that of the baseline, which is changed in place. Undefined: the operations leave no entity. */
const applied = function* (
  baseline: Content | undefined,
  before: Entity,
  operations: ReadonlyArray<Operation>
): Steps<Content | undefined> {
  let snapshot = before
  let authz = baseline?.authz
  let last: { readonly oid: Oid; readonly timestamp: Timestamp } | undefined = baseline
  for (const operation of effective(baseline, operations)) {
    snapshot = applyInPlace(snapshot, operation.patch ?? (yield* patchInSteps(operation)))
    if (operation.outline.op === "initialize") authz = operation.authz
    last = operation
    yield
  }
  if (last === undefined || snapshot === undefined || snapshot === null) return undefined
  return last === baseline ? baseline : { oid: last.oid, timestamp: last.timestamp, authz, snapshot }
}

/** The patch of an operation that does not hold it. */
const patchInSteps = function* ({ text }: Operation): Steps<Patch> {
  const { data } = (yield* parsed(Buffer.from(text))) as { readonly data: Patch }
  return data
}

/** The operations that have an effect: those before the last one that replaces the entity have none. */
const effective = (
  baseline: { readonly timestamp: string } | undefined,
  operations: ReadonlyArray<Operation>
): ReadonlyArray<Operation> => {
  const start = operations.findLastIndex(({ outline: { op } }) => op === "initialize" || op === "delete")
  const rest = start > 0 ? operations.slice(start) : operations
  return baseline === undefined ? rest : rest.filter(({ timestamp }) => timestamp > baseline.timestamp)
}

/** The same result as `compact`, for an entity that may be long. */
export const compacted = function* (
  stored: { readonly text: string; readonly timestamp: string } | undefined,
  operations: ReadonlyArray<Operation>
): Steps<Baseline | undefined> {
  const first = effective(stored, operations)[0]?.outline.op
  const isReplaced = first === "initialize" || first === "delete"
  const baseline =
    stored === undefined || isReplaced ? undefined : ((yield* parsed(Buffer.from(stored.text))) as Content)
  const after = yield* applied(baseline, baseline?.snapshot, isReplaced ? effective(stored, operations) : operations)
  if (after === undefined) return undefined
  const { oid, timestamp, authz, snapshot } = after
  const json = yield* stringified(snapshot)
  return { oid, timestamp, authz, snapshot, text: textOf(oid, timestamp, authz, json) }
}

const makeBaseline = (oid: Oid, timestamp: Timestamp, authz: Authz | undefined, snapshot: Entity): Baseline => {
  const text = textOf(oid, timestamp, authz, JSON.stringify(snapshot))
  return { oid, timestamp, authz, snapshot, text }
}

/** The JSON of a baseline. Timestamps and base64 hold no character that JSON escapes. */
const textOf = (oid: Oid, timestamp: Timestamp, authz: Authz | undefined, snapshot: string): string => {
  const access = authz === undefined ? "" : `,"authz":"${authz}"`
  return `{"oid":${JSON.stringify(oid)},"timestamp":"${timestamp}"${access},"snapshot":${snapshot}}`
}
