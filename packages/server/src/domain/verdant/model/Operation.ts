/** An operation: one change of one entity, as clients send it, the log keeps it, and other clients receive it. */
import { Result } from "effect"
import type { FileId } from "../../Ids.ts"
import { type Authz, isAuthz, withOriginator } from "./Authz.ts"
import { isBoundedJson } from "./BoundedJson.ts"
import { filesIn } from "./FilesIn.ts"
import { takesMoreThan } from "./JsonMemory.ts"
import { isOid, type Oid } from "./Oid.ts"
import { isPatch, type Patch } from "./Patch.ts"
import { outlineOf, type PatchOutline } from "./PatchOutline.ts"
import { isTimestamp, type Timestamp } from "./Timestamp.ts"

export interface Operation {
  readonly oid: Oid
  readonly timestamp: Timestamp
  readonly authz: Authz | undefined
  readonly outline: PatchOutline
  /** Undefined: it takes much more memory than its text, and `patchOf` reads it from there. */
  readonly patch: Patch | undefined
  /** The whole operation as JSON for the wire, with the patch as the client sent it, unknown fields included. */
  readonly text: string
  /** The files that it refers to. */
  readonly files: ReadonlyArray<FileId>
}

/** The reason why an operation or a baseline cannot be decoded. */
export interface Malformed {
  readonly _tag: "Malformed"
  readonly field: "item" | "oid" | "timestamp" | "authz" | "data" | "snapshot"
}

/** Characters of an operation's JSON. The size of a frame limits how many of them come at once. */
export const MAX_TEXT_LENGTH = 4 * 1024 * 1024

/** Decodes a client's operation from parsed JSON. */
export const decodeOperation = (input: unknown): Result.Result<Operation, Malformed> =>
  Result.filterOrFail(
    readOperation(input),
    ({ text }) => text.length <= MAX_TEXT_LENGTH,
    (): Malformed => ({ _tag: "Malformed", field: "data" })
  )

/**
 * Decodes a stored operation, which may be longer than a client's: the server wrote the author in the place of the
 * placeholder. Hand-written, because Schema is slower and every operation comes through here.
 */
export const readOperation = (input: unknown): Result.Result<Operation, Malformed> => {
  if (typeof input !== "object" || input === null) return malformed("item")
  const { oid, timestamp, data, authz } = input as Readonly<Record<string, unknown>>
  if (!isOid(oid)) return malformed("oid")
  if (!isTimestamp(timestamp)) return malformed("timestamp")
  if (!isNone(authz) && !isAuthz(authz)) return malformed("authz")
  if (!isPatch(data) || !isBoundedJson(data)) return malformed("data")
  return Result.succeed(makeOperation(oid, timestamp, isNone(authz) ? undefined : authz, data))
}

/** The operation with this user in place of the placeholder for its author. */
export const operationBy = (userId: string, operation: Operation): Operation => {
  const { oid, timestamp, authz } = operation
  const known = authz === undefined ? undefined : withOriginator(authz, userId)
  return known === authz ? operation : makeOperation(oid, timestamp, known, patchOf(operation))
}

export const patchOf = ({ patch, text }: Pick<Operation, "patch" | "text">): Patch => patch ?? JSON.parse(text).data

/** Memory of a patch that an operation may hold beside its text, in bytes: nearly every patch of a client takes less. */
const SMALL_PATCH = 512

const makeOperation = (oid: Oid, timestamp: Timestamp, authz: Authz | undefined, patch: Patch): Operation => {
  // At once: a text that is put together of others takes more memory, and time again when it is first searched.
  const text = JSON.stringify({ oid, timestamp, authz, data: patch })
  const isHeld = !takesMoreThan(text.length + SMALL_PATCH, patch)
  const files = filesIn(patch, text)
  return { oid, timestamp, authz, outline: outlineOf(patch), patch: isHeld ? patch : undefined, text, files }
}

// Shared with baselines, which have the same shape.

export const malformed = (field: Malformed["field"]): Result.Result<never, Malformed> =>
  Result.fail({ _tag: "Malformed", field })

/** Whether the access field is absent, in one of the ways that clients and servers write. */
export const isNone = (authz: unknown): authz is undefined | null | "" =>
  authz === undefined || authz === null || authz === ""
