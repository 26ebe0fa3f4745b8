/** An entity as its first operations left it, in place of them. */
import { Result } from "effect"
import { type Authz, isAuthz, withOriginator } from "./Authz.ts"
import { isBoundedJson } from "./BoundedJson.ts"
import { isOid, type Oid } from "./Oid.ts"
import { isNone, itemText, MAX_TEXT_LENGTH, type Malformed, malformed, type Operation } from "./Operation.ts"
import { applyInPlace, copyOf, type Entity } from "./Patch.ts"
import { isTimestamp, type Timestamp } from "./Timestamp.ts"

export interface Baseline {
  readonly oid: Oid
  /** Of the last operation in it. */
  readonly timestamp: Timestamp
  readonly authz: Authz | undefined
  /** Null if the entity does not exist; only clients send such. */
  readonly snapshot: Entity
  /** All of it as JSON for the wire. */
  readonly text: string
}

/** Of what `JSON.parse` gave. */
export const decodeBaseline = (input: unknown): Result.Result<Baseline, Malformed> => {
  if (typeof input !== "object" || input === null) return malformed("item")
  const { oid, timestamp, snapshot = null, authz } = input as Readonly<Record<string, unknown>>
  if (!isOid(oid)) return malformed("oid")
  if (!isTimestamp(timestamp)) return malformed("timestamp")
  if (!isNone(authz) && !isAuthz(authz)) return malformed("authz")
  if (!isBoundedJson(snapshot)) return malformed("snapshot")
  const baseline = makeBaseline(oid, timestamp, isNone(authz) ? undefined : authz, snapshot)
  return baseline.text.length > MAX_TEXT_LENGTH ? malformed("snapshot") : Result.succeed(baseline)
}

/** The baseline by this user, where its author did not know who it was. */
export const baselineBy = (userId: string, baseline: Baseline): Baseline => {
  const { oid, timestamp, authz, snapshot } = baseline
  const known = authz === undefined ? undefined : withOriginator(authz, userId)
  return known === authz ? baseline : makeBaseline(oid, timestamp, known, snapshot)
}

/**
 * The entity's baseline after operations on it, which come in the order of their timestamps; undefined if they leave no
 * entity. What is not newer than the baseline is in it already. It is for whom the last `initialize` says, and for
 * everybody if that says nothing: so do clients fold, and so it does not matter how many operations are folded at once.
 */
export const fold = (baseline: Baseline | undefined, operations: Iterable<Operation>): Baseline | undefined => {
  let snapshot = copyOf(baseline?.snapshot)
  let authz = baseline?.authz
  let last: { readonly oid: Oid; readonly timestamp: Timestamp } | undefined = baseline
  for (const operation of operations) {
    if (baseline !== undefined && operation.timestamp <= baseline.timestamp) continue
    snapshot = applyInPlace(snapshot, operation.patch)
    if (operation.patch.op === "initialize") authz = operation.authz
    last = operation
  }
  if (last === undefined || snapshot === undefined || snapshot === null) return undefined
  return last === baseline ? baseline : makeBaseline(last.oid, last.timestamp, authz, snapshot)
}

const makeBaseline = (oid: Oid, timestamp: Timestamp, authz: Authz | undefined, snapshot: Entity): Baseline => {
  const text = itemText(oid, timestamp, authz, "snapshot", JSON.stringify(snapshot))
  return { oid, timestamp, authz, snapshot, text }
}
