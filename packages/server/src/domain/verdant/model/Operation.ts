/** One change of one entity, as clients send it, the log keeps it, and other clients get it. */
import { Result } from "effect"
import { type Authz, isAuthz, withOriginator } from "./Authz.ts"
import { isBoundedJson } from "./BoundedJson.ts"
import { isOid, type Oid } from "./Oid.ts"
import { isPatch, type Patch } from "./Patch.ts"
import { isTimestamp, type Timestamp } from "./Timestamp.ts"

export interface Operation {
  readonly oid: Oid
  readonly timestamp: Timestamp
  readonly authz: Authz | undefined
  readonly patch: Patch
  /** All of it as JSON for the wire, with the patch as it came, fields that we know nothing of included. */
  readonly text: string
}

/** What is wrong with an operation or a baseline. */
export interface Malformed {
  readonly _tag: "Malformed"
  readonly field: "item" | "oid" | "timestamp" | "authz" | "data" | "snapshot"
}

/** Characters of an operation's or a baseline's JSON; frames and quotas keep the sum of them smaller than this suggests. */
export const MAX_TEXT_LENGTH = 4 * 1024 * 1024

/** Of what `JSON.parse` gave. By hand: Schema takes longer to judge the shape alone, and this is done for every operation. */
export const decodeOperation = (input: unknown): Result.Result<Operation, Malformed> => {
  if (typeof input !== "object" || input === null) return malformed("item")
  const { oid, timestamp, data, authz } = input as Readonly<Record<string, unknown>>
  if (!isOid(oid)) return malformed("oid")
  if (!isTimestamp(timestamp)) return malformed("timestamp")
  if (!isNone(authz) && !isAuthz(authz)) return malformed("authz")
  if (!isPatch(data) || !isBoundedJson(data)) return malformed("data")
  const operation = makeOperation(oid, timestamp, isNone(authz) ? undefined : authz, data)
  return operation.text.length > MAX_TEXT_LENGTH ? malformed("data") : Result.succeed(operation)
}

/** The operation by this user, where its author did not know who it was. */
export const operationBy = (userId: string, operation: Operation): Operation => {
  const { oid, timestamp, authz, patch } = operation
  const known = authz === undefined ? undefined : withOriginator(authz, userId)
  return known === authz ? operation : makeOperation(oid, timestamp, known, patch)
}

const makeOperation = (oid: Oid, timestamp: Timestamp, authz: Authz | undefined, patch: Patch): Operation => {
  const text = itemText(oid, timestamp, authz, "data", JSON.stringify(patch))
  return { oid, timestamp, authz, patch, text }
}

// Shared with baselines, which come in the same shape.

export const malformed = (field: Malformed["field"]): Result.Result<never, Malformed> =>
  Result.fail({ _tag: "Malformed", field })

/** For clients that is no authz either. */
export const isNone = (authz: unknown): authz is undefined | null | "" =>
  authz === undefined || authz === null || authz === ""

/** Timestamps and base64 have nothing that JSON would escape. */
export const itemText = (
  oid: Oid,
  timestamp: Timestamp,
  authz: Authz | undefined,
  field: "data" | "snapshot",
  json: string
): string => {
  const access = authz === undefined ? "" : `,"authz":"${authz}"`
  return `{"oid":${JSON.stringify(oid)},"timestamp":"${timestamp}"${access},"${field}":${json}}`
}
